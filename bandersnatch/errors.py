"""Every error that we raise; each carries the facts of its message as attributes.

All derive from ``MirrorError``, grouped by what is at fault: the configuration, upstream, or the disk. A ``ValueError``
or ``RuntimeError`` from our own code is always a bug.

They stay in one module, longer than others: an error is looked up here by its name or its message, and the kinds are told
apart where they stand side by side. Most who raise or catch errors need those of two or three groups.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bandersnatch.names import NormalizedName
from bandersnatch.refusals import reason_of
from bandersnatch.shown_text import shown


class MirrorError(Exception):
    """The base class of every error that a user may see."""

    stops_run: ClassVar[bool] = False
    """Whether it ends the run, since other projects would fail too: a full disk, or an upstream that is no index."""
    is_loss: ClassVar[bool] = False
    """Whether the work ended with its worker, so that it is tried again."""

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling between processes; the default would pass only the message to ``__init__``."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[MirrorError], args: tuple[object, ...], facts: dict[str, object]) -> MirrorError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


def gravest(*errors: Exception | None) -> Exception | None:
    """Return the error that counts: one that stops the run, or else the loss of a worker, or else the first."""

    def gravity(error: Exception) -> int:
        return 2 * error.stops_run + error.is_loss if isinstance(error, MirrorError) else 0

    return max((error for error in errors if error is not None), key=gravity, default=None)


def without_data(error: BaseException) -> None:
    """Clear the frames of an error's traceback, so that keeping the error does not keep a page of many megabytes."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        traceback.clear_frames(cause.__traceback__)
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


class ConfigError(MirrorError):
    """The configuration file has problems; ``problems`` has one line for each."""

    stops_run = True

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigMissingError(MirrorError):
    """There is no configuration file at ``path``."""

    stops_run = True

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.absolute()}: there is no such file")
        self.path = path


class UsageError(MirrorError):
    """The command line asks for something that can't be done, or can't be done this way."""

    stops_run = True


class UpstreamError(MirrorError):
    """Upstream could not be reached, or its answer is unusable."""


class UpstreamUnavailableError(UpstreamError):
    """A request got no usable answer: no connection, a timeout, a broken body or an error status."""

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.url, self.reason, self.status = url, reason, status


class NothingToldError(UpstreamError):
    """Neither the changelog nor the root index could be read, so we can't tell what has changed."""

    def __init__(self, changelog: UpstreamError, index: UpstreamError) -> None:
        told = f"{changelog}; and the root index can't replace XML-RPC: {index}"
        reasons = {error.reason for error in (changelog, index) if isinstance(error, UpstreamUnavailableError)}
        if len(reasons) == 1 and type(changelog) is type(index):  # such as a proxy that refuses both: say it once
            told = f"{changelog}; and the root index can't replace XML-RPC, for the same reason"
        super().__init__(told)
        self.changelog, self.index = changelog, index


class NoIndexError(UpstreamError):
    """Upstream answers, but like a web site that is not a package index."""

    stops_run = True

    def __init__(self, url: str, answers: UpstreamError) -> None:
        super().__init__(f"{answers}. So {url} is not a package index; is the option master right?")
        self.url, self.answers = url, answers


class TransientFaultError(UpstreamUnavailableError):
    """Upstream answered, with status 200, that it can't answer now; ``pause_seconds`` is for how long, if it says so."""

    def __init__(self, url: str, reason: str, pause_seconds: float | None = None) -> None:
        super().__init__(url, reason)
        self.pause_seconds = pause_seconds


class BrokenBodyError(UpstreamUnavailableError):
    """The body of a response broke off or stalled; a retry may well succeed."""


class TimeLimitError(BrokenBodyError):
    """A response was still arriving when its time limit expired."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url, f"incomplete after {seconds:g} s, the global-timeout")
        self.seconds = seconds


class RangeRefusedError(UpstreamError):
    """Upstream can't resume a download where it broke off; it must start again from the beginning."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: upstream can't send the rest of the file")
        self.url = url


class OversizedFileError(UpstreamError):
    """A file whose page gives no size turns out to be larger than the free space."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: the page gives no size for this file, which gets too large: {reason}")
        self.url, self.reason = url, reason


class NotFoundError(UpstreamError):
    """Upstream answered 404 or 410."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: not found")
        self.url = url


class UnexplainedError(UpstreamError):
    """Something has gone from upstream and nothing explains it yet; later changelog entries may."""


class ProjectNotFoundError(UnexplainedError):
    """Upstream has no page for a project, although nothing says that it removed the project."""

    def __init__(self, project: NormalizedName, url: str) -> None:
        super().__init__(f"{url}: not found, although upstream did not say that {project} was removed")
        self.project, self.url = project, url


class StaleMetadataError(UpstreamError):
    """Upstream sent a page older than its changelog promised, as a cache does that was not purged."""

    def __init__(self, project: NormalizedName, required: int, got: int | None) -> None:
        sent = "no serial" if got is None else str(got)
        super().__init__(f"{project}: the page must have serial {required} or later, upstream sent {sent}")
        self.project, self.required, self.got = project, required, got


class AheadOfJournalError(UpstreamError):
    """Upstream sent a serial beyond the end of its own journal."""

    def __init__(self, url: str, serial: int) -> None:
        super().__init__(f"{url}: the page has serial {serial}, which is beyond the end of upstream's journal")
        self.url, self.serial = url, serial


class MalformedResponseError(UpstreamError):
    """Upstream's answer breaks its API, or is hostile."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {shown(reason)}")
        self.url, self.reason = url, reason


class StaticJournalError(UpstreamError):
    """The static journal of upstream does not tell what has changed since we last read it."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url, self.reason = url, reason


class EndlessJournalError(MalformedResponseError):
    """The changelog does not end, or has more entries than a run can hold in memory."""

    def __init__(self, url: str, begin: int, reached: int) -> None:
        super().__init__(
            url,
            f"the changelog since serial {begin} was read up to {reached} and does not end; "
            "`bandersnatch mirror --force-check` uses the list of all projects instead",
        )


class UnsupportedVersionError(MalformedResponseError):
    """Upstream answered in a version of the simple API that we can't read (PEP 629, PEP 691)."""

    def __init__(self, url: str, version: str) -> None:
        super().__init__(url, f"it is of version {version!r} of the simple API; only version 1 is supported")
        self.version = version


class SuspiciousPageError(UnexplainedError):
    """A page contradicts what upstream said before, as an attack or an accident would."""

    def __init__(self, project: NormalizedName, reason: str) -> None:
        super().__init__(f"{project}: {reason}; what is here stays as it is")
        self.project, self.reason = project, reason


class HostDownError(UpstreamUnavailableError):
    """A host failed many requests in a row; this run sends it no more (circuit breaker)."""

    def __init__(self, url: str, reason: str, *, is_index: bool) -> None:
        super().__init__(url, reason)
        self.is_index = is_index


class RefusedSchemeError(UpstreamUnavailableError):
    """A link to http:// was not followed. No request was sent, so it does not count against the host."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "not https://, and allow-non-https is false")


class OtherIndexError(MirrorError):
    """The pages come from another index than the configured one, or there are none yet; only a run can change that."""

    stops_run = True

    def __init__(self, directory: Path, ours: str | None, configured: str) -> None:
        none = "there is no mirror yet, or its records were deleted"
        what = none if ours is None else f"its pages are of {ours}, and not of {configured}"
        super().__init__(f"{directory}: {what}; run bandersnatch mirror first")
        self.directory, self.ours, self.configured = directory, ours, configured


class ChangedConfigurationError(MirrorError):
    """The configuration asks for other pages or projects than the mirror has; only a full run can change that."""

    stops_run = True

    def __init__(self, directory: Path, changed: Sequence[str]) -> None:
        super().__init__(
            f"{directory}: the configuration has changed since the last bandersnatch mirror ({', '.join(changed)}); "
            "run bandersnatch mirror first, which brings the mirror in line with it"
        )
        self.directory, self.changed = directory, changed


class NotTakenOverError(MirrorError):
    """Another bandersnatch made the mirror, and no run has taken it over yet."""

    stops_run = True

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"{directory}: another bandersnatch has made this mirror; bandersnatch mirror takes it over first"
        )
        self.directory = directory


class SerialMovedBackError(UpstreamError):
    """Upstream's journal ends before the serial that this mirror has reached."""

    stops_run = True

    def __init__(self, url: str, ours: int, theirs: int) -> None:
        super().__init__(
            f"{url}: upstream's last serial is {theirs}, but this mirror is at {ours} already. "
            "Was upstream restored from a backup, or is it another index? Nothing was changed; "
            "to follow it anyway, delete the files state and todo."
        )
        self.ours, self.theirs = ours, theirs


class LostProjectsError(UpstreamError):
    """Upstream's list of all projects is empty, or lacks most of what we hold; we assume an outage."""

    stops_run = True

    def __init__(self, url: str, missing: int, held: int) -> None:
        super().__init__(
            f"{url}: upstream no longer lists {missing} of the {held} projects held, which looks like an outage: "
            "nothing was changed. To remove them: bandersnatch mirror --allow-removals"
        )
        self.missing, self.held = missing, held


class EmptyIndexError(LostProjectsError):
    """Upstream lists no projects, although its journal is not empty; we assume an outage."""

    def __init__(self, url: str, serial: int) -> None:
        MirrorError.__init__(
            self,
            f"{url}: upstream lists no projects, although its journal is at serial {serial}, which looks like an outage: "
            "nothing was changed. To remove everything: bandersnatch mirror --allow-removals",
        )
        self.url, self.serial = url, serial


class VanishedIndexError(LostProjectsError):
    """An index without a journal lists no projects any more; we assume an outage."""

    def __init__(self, url: str, held: int) -> None:
        MirrorError.__init__(
            self,
            f"{url}: upstream lists no projects, and the mirror has {held}, which looks like an outage: "
            "nothing was changed. To remove everything: bandersnatch mirror --allow-removals",
        )
        self.url, self.held = url, held


class PathConflictError(UpstreamError):
    """Two upstream files claim conflicting paths: the same path, or one inside the other."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class IntegrityError(MirrorError):
    """The bytes of a file differ from what upstream's page promises."""

    def __init__(self, url: str, what: str, expected: int | str, got: int | str) -> None:
        super().__init__(f"{url}: wrong {what}: the page says {expected}, got {got}")
        self.url, self.what, self.expected, self.got = url, what, expected, got


class StorageError(MirrorError):
    """The disk refused an operation."""

    stops_run = True

    def __init__(self, path: str, doing: str, cause: OSError | str) -> None:
        reason = cause if isinstance(cause, str) else reason_of(cause, path)
        super().__init__(f"{path}: can't {doing}: {reason}")
        self.path, self.cause = path, cause


class PartGoneError(StorageError):
    """What an earlier attempt left of a file is there no more: another process has resumed or deleted it."""

    stops_run = False


class RefusedPlaceError(StorageError):
    """We lack permission for a path that only some projects need: those fail, and the others go on."""

    stops_run = False


class MissingDirectoryError(MirrorError):
    """The mirror's directory is missing, or the mirror that was in it is."""

    stops_run = True

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what

    def with_advice(self, advice: str) -> "MissingDirectoryError":
        """Return the same error, with what to do."""
        return MissingDirectoryError(self.path, f"{self.what}; {advice}")


class ScarceMemoryError(MirrorError):
    """There is not enough memory, or the system refuses another thread."""

    stops_run = True

    def __init__(self, what: str, limit_bytes: int | None) -> None:
        limit = "" if limit_bytes is None else f"; this process may have {limit_bytes >> 20} MB (ulimit -v)"
        super().__init__(f"not enough memory: {what}{limit}; fewer workers need less")
        self.what, self.limit_bytes = what, limit_bytes


class UnreadablePageError(MirrorError):
    """A stored page can't be read, so we can't tell which files it lists."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}, so it is unknown which files are on no page")
        self.path, self.reason = path, reason


class LockHeldError(MirrorError):
    """Another run works on the same directory."""

    stops_run = True

    def __init__(self, path: str, holder: str, held_seconds: float = 0.0, remedy: str = "") -> None:
        told = f"{path}: another run holds the lock ({holder or 'its process is unknown'})"
        super().__init__(f"{told}; {remedy}" if remedy else told)
        self.path, self.holder, self.held_seconds = path, holder, held_seconds


class InterruptedRunError(MirrorError):
    """The run was asked to stop."""

    stops_run = True

    def __init__(self) -> None:
        super().__init__("the run was asked to stop")
