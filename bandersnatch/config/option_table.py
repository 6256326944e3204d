"""The one table of the options of ``[mirror]``: name, default, reader, the version that added it, and its purpose.

``config/mirror_section.py`` reads files by it; docs/configuration.md and the example are tested against it. Defaults
are stated here and nowhere else.
"""

from bandersnatch.inifile.option import PUBLIC_PYPI, Option
from bandersnatch.inifile.readers import (
    read_api_method,
    read_bool,
    read_client_cert,
    read_compare_method,
    read_count,
    read_deleted,
    read_diff_file,
    read_digest_name,
    read_directory,
    read_download_mirror,
    read_log_config,
    read_proxy,
    read_refresh,
    read_removal_limit,
    read_root_uri,
    read_seconds,
    read_simple_format,
    read_size,
    read_storage_backend,
    read_time_limit,
    read_upstream_kind,
    read_upstream_url,
    read_workers,
)
from bandersnatch.inifile.upstream_readers import read_prefix, read_projects

MIRROR_OPTIONS: tuple[Option, ...] = (
    Option("directory", None, read_directory, "1.0", "where the mirror lies; web/ below it is for the web server"),
    Option("master", PUBLIC_PYPI, read_upstream_url, "1.0", "the index to copy, without /simple"),
    Option("allow-non-https", "false", read_bool, "6.6", "allow http:// for the index and its files"),
    Option(
        "proxy",
        "",
        read_proxy,
        "4.3",
        "a proxy for all requests, else SOCKS5_PROXY, HTTPS_PROXY and the like; NO_PROXY counts",
    ),
    Option(
        "client-cert",
        "",
        read_client_cert,
        "new",
        "a PEM file: with which certificate and key to meet servers that want one",
    ),
    Option("timeout", "10", read_seconds, "1.0", "seconds that upstream may be silent"),
    Option(
        "global-timeout", "1800", read_time_limit, "4.1", "seconds that one attempt at a document may take; 0: no limit"
    ),
    Option(
        "api-method", "auto", read_api_method, "6.7", "what tells of changes: xmlrpc, simple (the root index), or auto"
    ),
    Option(
        "upstream-kind", "auto", read_upstream_kind, "new", "what the index is: auto, warehouse, simple or shadowmire"
    ),
    Option("download-mirror", "", read_download_mirror, "5.1", "where files are fetched from first"),
    Option("download-mirror-no-fallback", "false", read_bool, "5.1", "fetch files from download-mirror only"),
    Option(
        "allow-weak-hashes", "false", read_bool, "new", "take files of which the index tells only MD5, SHA-1 or SHA-224"
    ),
    Option("allow-unhashed", "false", read_bool, "new", "take files of which the index tells no digest"),
    Option("workers", "10", read_workers, "1.0", "how many requests at a time"),
    Option("verifiers", "3", read_workers, "3.0", "how many requests and files verify works on at a time"),
    Option("stop-on-error", "false", read_bool, "1.0", "end the run at the first project that fails"),
    Option("compare-method", "stat", read_compare_method, "5.0", "how a full resync checks files: stat or hash"),
    Option(
        "refresh", "30 days", read_refresh, "new", "in which time each project is asked for, changed or not; 0: never"
    ),
    Option("deleted", "remove", read_deleted, "new", "what becomes of what upstream deletes: remove, hide or keep"),
    Option("max-removals", "5% or 1000", read_removal_limit, "new", "how many projects, and files, one run may remove"),
    Option("reserve", "0", read_size, "new", "how much free space the mirror leaves on its disk, such as 20G"),
    Option("release-files", "true", read_bool, "4.3", "keep the files; false: pages only, with links to upstream"),
    Option("core-metadata", "true", read_bool, "8.0", "keep and advertise the .metadata of files"),
    Option("json", "false", read_bool, "2.1", "also keep /pypi/<name>/json"),
    Option("static-journal", "true", read_bool, "new", "also keep web/changes, by which other mirrors follow this one"),
    Option("simple-format", "ALL", read_simple_format, "6.0", "forms of the pages: ALL, HTML or JSON"),
    Option(
        "hash-index", "false", read_bool, "1.11", "pages in folders by first letter; needs a rewrite in the web server"
    ),
    Option("keep_index_versions", "0", read_count, "3.1", "how many versions of each page are kept, in versions/"),
    Option("cleanup", "false", read_bool, "4.0", "delete pages under names that are not normalized, as 3.x wrote them"),
    Option("root_uri", "", read_root_uri, "2.2", "prefix of file URLs on pages, in place of relative links"),
    Option("digest_name", "sha256", read_digest_name, "2.2", "which digest the links on pages carry"),
    Option("storage-backend", "filesystem", read_storage_backend, "4.1", "where the mirror is kept"),
    Option(
        "storage-filesystem-manage-permissions",
        "true",
        read_bool,
        "7.1",
        "give files mode 0644, whatever the umask says",
    ),
    Option(
        "diff-file",
        "",
        read_diff_file,
        "3.5",
        "a list of all files that a run wrote; beside it, one of those that it deleted",
    ),
    Option("diff-append-epoch", "false", read_bool, "3.5", "put the time into the name of the diff-file"),
    Option("log-config", "", read_log_config, "1.0", "a file for Python's logging.config.fileConfig"),
)

UPSTREAM_OPTIONS: tuple[Option, ...] = (
    Option("master", None, read_upstream_url, "new", "the index to copy, without /simple"),
    Option(
        "projects",
        "",
        read_projects,
        "new",
        "which projects are this index's, and no other's: names, or patterns with *",
    ),
    Option(
        "prefix",
        "",
        read_prefix,
        "new",
        "in place of projects: the path below web/ where the index is served on its own",
    ),
    Option("upstream-kind", "auto", read_upstream_kind, "new", "as in [mirror], for this index"),
    Option("api-method", "auto", read_api_method, "new", "as in [mirror], for this index"),
    Option("allow-non-https", "false", read_bool, "new", "as in [mirror], for this index; not taken over from there"),
    Option("client-cert", "", read_client_cert, "new", "as in [mirror], for this index; not taken over from there"),
    Option("proxy", "", read_proxy, "new", "a proxy for this index, in place of that of [mirror]"),
)
"""The options of each section ``[upstream NAME]``; all else is as in ``[mirror]``."""

ALIASES: dict[str, str] = {"keep-index-versions": "keep_index_versions"}
"""Other spellings of options, from files for other versions of bandersnatch."""

IGNORED_MIRROR_OPTIONS: dict[str, str] = {
    "delete-packages": "not needed: what upstream removed is removed here too; see the option deleted",
}
"""Options of other bandersnatch versions that we do not need, with the reason that the operator is told."""

OFF_VALUES = frozenset({"0", "false", "no", "off", "none"})

BACKEND_SECTIONS: dict[str, str] = dict.fromkeys(("s3", "swift"), "not needed: the mirror is kept in the filesystem")
"""Sections of storage backends. A file that asks for such a backend fails at the option storage-backend."""
