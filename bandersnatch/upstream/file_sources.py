"""Where a distribution file may be fetched from: a download mirror first, then upstream itself."""

from urllib.parse import urlsplit

from msgspec import Struct

from bandersnatch.config.option_groups import HttpConfig


class FileSources(Struct, frozen=True):
    """The sources of files. ``mirror`` is the URL below which a mirror serves ``/packages/``; empty if there is none."""

    mirror: str = ""
    has_fallback: bool = True

    @classmethod
    def of(cls, config: HttpConfig) -> "FileSources":
        """Return the sources that the configuration names."""
        return cls(config.download_mirror, config.has_download_fallback)

    def urls(self, upstream_url: str) -> tuple[str, ...]:
        """Return the URLs to try for a file, in order; ``upstream_url`` is the one on upstream's page."""
        if not self.mirror:
            return (upstream_url,)
        mirrored = self.mirror + urlsplit(upstream_url).path
        return (mirrored, upstream_url) if self.has_fallback else (mirrored,)
