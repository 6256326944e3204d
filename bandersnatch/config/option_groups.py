"""Groups of options: each part of the program gets the group that it needs, and knows no other."""

from pathlib import Path

from msgspec import Struct, field

from bandersnatch.inifile.option import ApiMethod, DeletedPolicy, RemovalLimit, SimpleFormat, UpstreamKind


class HttpConfig(Struct, frozen=True):
    """How we talk to upstream.

    ``timeout_seconds`` is the longest silence allowed; ``global_timeout_seconds`` the longest that one attempt to fetch
    a document may take (0: no limit).
    """

    upstream_url: str
    timeout_seconds: float = 10.0
    global_timeout_seconds: float = 1800.0
    proxy: str = ""
    client_cert: Path | None = None
    allow_non_https: bool = False
    download_mirror: str = ""
    has_download_fallback: bool = True
    api_method: ApiMethod = ApiMethod.AUTO
    kind: UpstreamKind = UpstreamKind.AUTO
    workers: int = 10
    """The most requests in flight."""

    def may_ask(self, url: str) -> bool:
        """Whether the scheme of a URL allows a request to it."""
        if url.startswith("https://") or self.allow_non_https:
            return True
        # http:// is safe enough for a download mirror: its files are checked against the index's digests.
        return self.download_mirror != "" and url.startswith(f"{self.download_mirror}/")


class UpstreamConfig(Struct, frozen=True):
    """An index beside that of ``[mirror]``: it owns the ``projects`` of these patterns, or is served below ``prefix``."""

    name: str
    http: HttpConfig
    projects: tuple[str, ...] = ()
    prefix: str = ""


class PagesConfig(Struct, frozen=True):
    """What is published, and in which form."""

    simple_format: SimpleFormat = SimpleFormat.ALL
    hash_index: bool = False
    root_uri: str = ""
    digest_name: str = "sha256"
    release_files: bool = True
    core_metadata: bool = True
    legacy_json: bool = False
    keep_versions: int = 0
    """How many old versions of each page are kept in ``versions/``; 0 makes the pages plain files."""
    cleanup: bool = False
    static_journal: bool = True
    allow_weak_hashes: bool = False
    """Whether files are taken of which upstream tells only a weak digest."""
    allow_unhashed: bool = False
    """Whether files are taken of which upstream tells no digest."""


class RemovalsConfig(Struct, frozen=True):
    """What happens to what upstream deletes, and how much one run may remove."""

    deleted: DeletedPolicy = DeletedPolicy.REMOVE
    limit: RemovalLimit = field(default_factory=lambda: RemovalLimit(1000, 5.0))


class DiskConfig(Struct, frozen=True):
    """How files are written, and where a run lists what it wrote; ``reserve_bytes`` of the disk stay free."""

    reserve_bytes: int = 0
    manages_permissions: bool = True
    diff_file: Path | None = None
    diff_append_epoch: bool = False
