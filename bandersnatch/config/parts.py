"""A mirror's configuration, taken apart: one for each index that it follows. A mirror of one index is the case of one part.

Each part is followed like a mirror of its own, with records of its own, so that nothing that one index says, or does not
say, is about projects of another.
"""

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.config.config import UPSTREAMS, Config, SharedTree
from bandersnatch.config.option_groups import UpstreamConfig
from bandersnatch.filters.ownership import Owned

LIST_NAME = "mirrored-files"
"""The name of the ``diff-file``, if the configuration names its folder only."""


class Part(Struct, frozen=True):
    """One index: the ``name`` of its section, None for ``[mirror]``, and the configuration for it alone."""

    name: str | None
    config: Config
    prefix: str = ""
    """Where it is served below ``web/``, if not with the others."""

    @property
    def section(self) -> str:
        """The section of the configuration file that it is written in."""
        return "[mirror]" if self.name is None else f"[upstream {self.name}]"


def parts_of(config: Config) -> tuple[Part, ...]:
    """Return the parts in the order in which they are followed: as in the file, and ``[mirror]`` last.

    A first run of all of PyPI takes days, for which a small index should not wait.
    """
    return (*(_part(config, each) for each in config.upstreams), Part(None, _owning(config, None)))


def _part(config: Config, upstream: UpstreamConfig) -> Part:
    whole = replace(
        config,
        http=upstream.http,
        directory=config.directory / UPSTREAMS / upstream.name,
        disk=replace(config.disk, diff_file=_diff_file(config.disk.diff_file, upstream.name)),
    )
    if not upstream.prefix:
        return Part(upstream.name, _owning(whole, upstream.name))
    root_uri = config.pages.root_uri and f"{config.pages.root_uri}/{upstream.prefix}"
    return Part(
        upstream.name, replace(whole, upstreams=(), pages=replace(config.pages, root_uri=root_uri)), upstream.prefix
    )


def _diff_file(path: Path | None, name: str) -> Path | None:
    """Return where an index lists what it changes: the next one would begin the same list anew."""
    if path is None:
        return None
    of_mirror = path / LIST_NAME if path.is_dir() else path
    return of_mirror.with_name(f"{of_mirror.name}.upstream-{name}")


def _owning(config: Config, name: str | None) -> Config:
    """Return the configuration with a filter that leaves an index only its own projects, if others have some."""
    owners, filters = config.owners, config.filters
    if not owners.claims:
        return replace(config, upstreams=())
    filters = replace(filters, projects=(Owned(owners, name), *filters.projects))
    mirror = config.directory if name is None else config.directory.parent.parent
    names = tuple(each.name for each in config.upstreams if each.projects)
    return replace(config, upstreams=(), filters=filters, tree=SharedTree(mirror, name, names, owners))
