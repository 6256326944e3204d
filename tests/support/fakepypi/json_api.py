"""The values of the JSON API, `/pypi/<name>/json` and `/pypi/<name>/<version>/json`."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from packaging.utils import canonicalize_version
from packaging.version import Version

from .model import Project, Release, UploadedFile, version_key
from .pages import core_metadata_mark, iso_time
from .wheels import parse_metadata

NULL_INFO = (
    "author",
    "author_email",
    "bugtrack_url",
    "description_content_type",
    "docs_url",
    "download_url",
    "dynamic",
    "home_page",
    "keywords",
    "license",
    "license_expression",
    "license_files",
    "maintainer",
    "maintainer_email",
    "platform",
    "project_urls",
    "provides_extra",
    "requires_dist",
)


def project_value(project: Project, base_url: str) -> dict[str, Any] | None:
    """Return the value for a project, or None where the API says 404."""
    releases = project.visible_releases()
    if not releases:
        return None
    latest = max(releases, key=_preference)
    listed = {release.version: _files(release, base_url) for release in releases}
    return {**_value(project, latest, base_url), "releases": listed}


def release_value(project: Project, version: str, base_url: str) -> dict[str, Any] | None:
    """Return the value for one release, found by the canonical form of its version."""
    wanted = canonicalize_version(version)
    for release in project.visible_releases():
        if canonicalize_version(release.version) == wanted:
            return _value(project, release, base_url)
    return None


def _value(project: Project, release: Release, base_url: str) -> dict[str, Any]:
    roles = [{"role": role, "user": user} for role, user in project.roles]
    return {
        "info": _info(project, release, base_url),
        "last_serial": project.last_serial,
        "ownership": {"organization": None, "roles": roles},
        "urls": _files(release, base_url),
        "vulnerabilities": [],
    }


def _preference(release: Release) -> tuple[bool, bool, tuple[int, Version, str]]:
    """Return the key by which the latest release is chosen."""
    key = version_key(release.version)
    return (not release.is_yanked, not key[1].is_prerelease, key)


def _info(project: Project, release: Release, base_url: str) -> dict[str, Any]:
    project_url = f"{base_url}/project/{project.normalized_name}/"
    return {
        **dict.fromkeys(NULL_INFO),
        **_described(project, release),
        "classifiers": [],
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "name": project.name,
        "package_url": project_url,
        "project_url": project_url,
        "release_url": f"{project_url}{release.version}/",
        "requires_python": release.requires_python,
        "version": release.version,
        "yanked": release.is_yanked,
        "yanked_reason": release.yanked_reason or None,
    }


def _described(project: Project, release: Release) -> dict[str, str | None]:
    """Return summary and description, from the metadata of a wheel where there is one."""
    for file in release.sorted_files():
        if file.metadata is not None:
            message = parse_metadata(file.metadata)
            return {"summary": message["Summary"], "description": str(message.get_payload())}
    return {"summary": f"test {project.name}", "description": "hello\n"}


def _files(release: Release, base_url: str) -> list[dict[str, Any]]:
    return [_file_entry(release, file, base_url) for file in release.sorted_files()]


def _file_entry(release: Release, file: UploadedFile, base_url: str) -> dict[str, Any]:
    return {
        "comment_text": None,
        "core-metadata": core_metadata_mark(file),
        "digests": {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.md5,
        "packagetype": _package_type(file),
        "python_version": file.python_version,
        "requires_python": release.requires_python,
        "size": file.size,
        "upload_time": _whole_seconds(file.upload_time),
        "upload_time_iso_8601": iso_time(file.upload_time),
        "url": base_url + file.url_path,
        "yanked": release.is_yanked,
        "yanked_reason": release.yanked_reason or None,
    }


def _whole_seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _package_type(file: UploadedFile) -> str:
    if file.kind == "sdist":
        return "sdist"
    types = {".egg": "bdist_egg", ".exe": "bdist_wininst"}
    return types.get(PurePosixPath(file.filename).suffix, "bdist_wheel")
