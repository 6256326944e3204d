"""Errors come whole out of other processes."""

import pickle
from pathlib import Path

import pytest

from bandersnatch import errors
from bandersnatch.errors import MirrorError
from bandersnatch.names import NormalizedName

FOO, URL = NormalizedName("foo"), "https://index.example/x"
EVERY_KIND = [
    errors.MirrorError("told"),
    errors.ConfigError(["one", "two"]),
    errors.ConfigMissingError(Path("x")),
    errors.UsageError("told"),
    errors.UpstreamError("told"),
    errors.UpstreamUnavailableError(URL, "why"),
    errors.TransientFaultError(URL, "why", 2.5),
    errors.NoIndexError(URL, errors.UpstreamError("told")),
    errors.BrokenBodyError(URL, "why"),
    errors.TimeLimitError(URL, 1.5),
    errors.RangeRefusedError(URL),
    errors.OversizedFileError(URL, "why"),
    errors.NotFoundError(URL),
    errors.UnexplainedError("told"),
    errors.ProjectNotFoundError(FOO, URL),
    errors.StaleMetadataError(FOO, 7, None),
    errors.AheadOfJournalError(URL, 7),
    errors.UnsupportedVersionError(URL, "2.0"),
    errors.EndlessJournalError(URL, 1, 7),
    errors.StaticJournalError(URL, "why"),
    errors.NothingToldError(errors.UpstreamError("told"), errors.UpstreamError("told")),
    errors.MalformedResponseError(URL, "why"),
    errors.SuspiciousPageError(FOO, "why"),
    errors.HostDownError(URL, "why", is_index=True),
    errors.RefusedSchemeError(URL),
    errors.OtherIndexError(Path("x"), None, URL),
    errors.ChangedConfigurationError(Path("x"), ["filters"]),
    errors.NotTakenOverError(Path("x")),
    errors.SerialMovedBackError(URL, 2, 1),
    errors.LostProjectsError(URL, 2, 3),
    errors.EmptyIndexError(URL, 7),
    errors.VanishedIndexError(URL, 7),
    errors.PathConflictError("x", "why"),
    errors.IntegrityError(URL, "size", 1, 2),
    errors.StorageError("x", "write", OSError(28, "No space left on device")),
    errors.PartGoneError("x", "write", FileNotFoundError(2, "No such file or directory")),
    errors.RefusedPlaceError("x", "write", PermissionError(13, "Permission denied")),
    errors.MissingDirectoryError(Path("x"), "why"),
    errors.ScarceMemoryError("why", 2**30),
    errors.UnreadablePageError("x", "why"),
    errors.LockHeldError("x", ""),
    errors.InterruptedRunError(),
]


def kinds(kind: type[MirrorError]) -> set[type[MirrorError]]:
    return {kind}.union(*map(kinds, kind.__subclasses__()))


def test_every_kind_is_tried() -> None:
    assert {type(error) for error in EVERY_KIND} == {
        kind for kind in kinds(MirrorError) if kind.__module__ == errors.__name__
    }


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
def test_an_error_that_was_pickled_tells_the_same(error: MirrorError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__.keys() == error.__dict__.keys()
    assert {name: str(value) for name, value in again.__dict__.items()} == {
        name: str(value) for name, value in error.__dict__.items()
    }
