"""`FakePyPI`: a world that can be told a story, behind a server that can misbehave."""

from typing import Any, Self

from . import pages
from .downloads import METADATA_SUFFIX
from .faults import Fault, FaultPlan
from .server import RecordedRequest, Server
from .site import Site
from .story import Story


class FakePyPI(Story):
    """An index on a loopback port, running inside the `with` block."""

    def __init__(self, changelog_limit: int = 50_000, *, port: int = 0) -> None:
        super().__init__()
        self._faults = FaultPlan()
        self._server = Server(port, self._faults)
        self._site = Site(self, self._server.url, changelog_limit)

    def __enter__(self) -> Self:
        self._server.start(self._site)
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._server.close()
        if error_type is None and self._server.errors:
            raise AssertionError("the fake index failed while it answered") from self._server.errors[0]

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return self._server.url

    @property
    def dialect(self) -> pages.Dialect:
        """What project pages tell, and how."""
        return self._site.dialect

    @dialect.setter
    def dialect(self, dialect: pages.Dialect) -> None:
        self._site.dialect = dialect

    def page(self, name: str) -> dict[str, Any]:
        """Return the project's PEP 691 page as it is now, never a frozen one."""
        return pages.project_page(self.fresh_project(name), self.url)

    # Faults

    def fault(self, path: str, *faults: Fault, times: int | None = 1) -> None:
        """Let the next requests for a path go wrong, by each fault in turn, `times` times over.

        A path is exact, or a prefix where it ends with `*`. XML-RPC calls are known
        as `rpc:<method>` too. With `times=None` the faults take turns until cleared.
        """
        self._faults.add(path, faults, times)

    def clear_faults(self) -> None:
        self._faults.clear()

    # The request log

    @property
    def pages_for_others(self) -> int:
        """How many pages of projects were asked for by other processes than the server's own, such as workers of a run."""
        return self._server.pages_for_others

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, in order of arrival."""
        return list(self._server.log)

    def clear_requests(self) -> None:
        self._server.log.clear()

    def requests_for(self, prefix: str) -> list[RecordedRequest]:
        return [request for request in self.requests if request.path.startswith(prefix)]

    def page_requests(self) -> list[RecordedRequest]:
        """Return the requests for project pages; the root index is none."""
        return [request for request in self.requests_for("/simple/") if request.path.partition("?")[0] != "/simple/"]

    def file_requests(self) -> list[RecordedRequest]:
        return [each for each in self.requests_for("/packages/") if not each.path.endswith(METADATA_SUFFIX)]

    def metadata_requests(self) -> list[RecordedRequest]:
        return [each for each in self.requests_for("/packages/") if each.path.endswith(METADATA_SUFFIX)]

    def rpc_calls(self) -> list[str]:
        """Return the names of the XML-RPC methods that were called."""
        return [request.rpc_method for request in self.requests if request.rpc_method is not None]
