"""Finds the root index of an index that need not be PyPI's, or what tells its projects in place of one."""

from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from bandersnatch.errors import (
    MalformedResponseError,
    NoIndexError,
    NotFoundError,
    UpstreamError,
    UpstreamUnavailableError,
)
from bandersnatch.http.request import FORBIDDEN
from bandersnatch.inifile.option import UpstreamKind
from bandersnatch.model import ListedProject
from bandersnatch.names import NormalizedName
from bandersnatch.state.upstream_record import UpstreamRecord, places_of
from bandersnatch.upstream.index import Upstream
from bandersnatch.upstream.root_index import RootIndex

_PROBES = 5
"""How many allowlisted names are tried to find the pages of an index that has no list of its projects."""


class RootSearch(Struct, frozen=True):
    """Looks for the root index: ``record`` is what earlier runs found out; ``names`` are those that allowlists name."""

    upstream: Upstream
    record: UpstreamRecord | None
    names: frozenset[NormalizedName]

    def root(self, reached: int | None, *, may_search: bool) -> RootIndex:
        """Return the root index, or in place of one that is missing the names on the allowlists.

        ``reached`` is the serial that was reached; None if everything is asked for. With ``may_search`` the index may be
        elsewhere than PyPI's, and in place of its serials there may be shadowmire's.

        Raises:
            UpstreamError: there is none, or it can't be read.
        """
        known, is_full = self.record, reached is None
        if self.upstream.has_local_json:
            return self._local_json(reached)
        if known is not None and known.has_root:
            root = self.upstream.root(None if is_full else known.etag)
            return root if root.serial is None else _without_its_serials(root)
        if known is not None and not is_full:
            return self._listed()
        try:
            root = self.upstream.root()
        except (NotFoundError, UpstreamUnavailableError) as error:
            if not may_search or not _is_missing(error):
                raise
            return self._found_elsewhere(error)
        if root.serial is None and may_search and self.upstream.kind is UpstreamKind.AUTO:
            with suppress(NotFoundError, MalformedResponseError, UpstreamUnavailableError):
                root = self.upstream.local_json(None)
                self.upstream.use_local_json()
        return root

    def _local_json(self, reached: int | None) -> RootIndex:
        try:
            return self.upstream.local_json(reached)
        except NotFoundError as error:
            if self.upstream.kind is not UpstreamKind.AUTO:
                raise
            reason = (
                "not found; it was a mirror made by shadowmire: if it is another kind now, set upstream-kind = simple"
            )
            raise MalformedResponseError(error.url, reason) from error

    def _listed(self) -> RootIndex:
        listed = {name: ListedProject(name, 0) for name in self.names}
        return RootIndex(f"{self.upstream.documents.simple_url}/", None, listed, is_there=False)

    def _found_elsewhere(self, error: UpstreamError) -> RootIndex:
        """Look for the index at the URL itself; without one, for the pages of allowlisted projects.

        Raises:
            UpstreamError: there is neither.
        """
        usual, other = places_of(self.upstream.url)
        self.upstream.look_for_pages_at(other)
        try:
            root = self.upstream.root()
        except (NotFoundError, MalformedResponseError, UpstreamUnavailableError) as second:
            if not isinstance(second, MalformedResponseError) and not _is_missing(second):
                raise
            for place in (usual, other):
                self.upstream.look_for_pages_at(place)
                if any(map(self._has_page, sorted(self.names)[:_PROBES])):
                    return self._listed()
        else:
            self.upstream.look_for_pages_at(other, forbids_missing=not isinstance(error, NotFoundError))
            return root
        self.upstream.look_for_pages_at(usual)
        raise NoIndexError(self.upstream.url, error) if self.names else error

    def _has_page(self, name: NormalizedName) -> bool:
        try:
            self.upstream.project_page(name, None)
        except (NotFoundError, MalformedResponseError):
            return False
        except UpstreamUnavailableError as error:
            if not _is_missing(error):
                raise
            return False
        return True


def _is_missing(error: UpstreamError) -> bool:
    """Whether there is nothing at a URL. PyTorch's index, which is a bucket of S3, answers 403 for that."""
    return isinstance(error, NotFoundError) or getattr(error, "status", None) == FORBIDDEN


def _without_its_serials(root: RootIndex) -> RootIndex:
    """Return an index that has got serials meanwhile: they are another count than ours, and say only that it differs."""
    projects = {name: ListedProject(project.display_name, 0) for name, project in root.projects.items()}
    return replace(root, serial=None, projects=projects, whole_serial=root.serial)
