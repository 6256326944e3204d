"""How commands open the mirror: lock, another program's tree, inventory, sweep; and how dry ones do without a trace."""

import shutil
from contextlib import ExitStack

import pytest

from bandersnatch.config.config import Config
from bandersnatch.errors import LockHeldError, MissingDirectoryError, NotTakenOverError, OtherIndexError
from bandersnatch.operations.session import Foreign, Session
from bandersnatch.stop import StopFlag
from bandersnatch.storage.lock import run_lock
from tests.support.fakepypi import FakePyPI
from tests.support.rig import Rig


@pytest.fixture
def config(rig: Rig, pypi: FakePyPI) -> Config:
    """The configuration of a mirror with one project."""
    pypi.add_file("foo", "1.0", size=500)
    rig.run()
    return Config.load(rig.write_config())


def session(rig: Rig, config: Config) -> Session:
    return Session.of(config, rig.make_storage(config.directory), StopFlag())


def make_foreign(rig: Rig) -> None:
    """Leave the tree as another bandersnatch would: pages and files, and none of our records."""
    for name in ("state", "inventory.sqlite", "fingerprint"):
        (rig.directory / name).unlink()
    (rig.directory / "status").write_text("1")


@pytest.mark.quick
def test_lock_is_held_until_the_block_ends(rig: Rig, config: Config) -> None:
    with session(rig, config).opened(Foreign.REFUSE) as is_rebuilt:
        assert not is_rebuilt
        with ExitStack() as second, pytest.raises(LockHeldError):
            second.enter_context(session(rig, config).opened(Foreign.REFUSE))
    with session(rig, config).opened(Foreign.REFUSE):
        pass


@pytest.mark.quick
def test_dry_session_takes_no_lock_and_leaves_no_trace(rig: Rig, config: Config) -> None:
    with run_lock(config.directory):
        before = rig.stamps()
        dry = Session.dry(config, StopFlag())
        with dry.opened(Foreign.TAKE_OVER):
            dry.write_root_index(99, anew=True)
            dry.states.forget()
            assert dry.inventory.totals() == (1, 1)
        rig.assert_same_tree(before)


def test_lost_inventory_is_rebuilt_and_said_to_be(rig: Rig, config: Config) -> None:
    (rig.directory / "inventory.sqlite").unlink()
    for each in (Session.dry(config, StopFlag()), session(rig, config)):
        with each.opened(Foreign.REFUSE) as is_rebuilt:
            assert is_rebuilt
            assert each.inventory.totals() == (1, 1)


def test_what_the_check_refuses_is_not_opened(rig: Rig, config: Config) -> None:
    (rig.directory / "inventory.sqlite").unlink()

    def refuse() -> None:
        raise OtherIndexError(config.directory, None, "https://index.example")

    with ExitStack() as stack, pytest.raises(OtherIndexError):
        stack.enter_context(session(rig, config).opened(Foreign.REFUSE, refuse))
    assert not (rig.directory / "inventory.sqlite").exists()


def test_tree_of_another_program_is_read_refused_or_taken_over(
    rig: Rig, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    make_foreign(rig)
    before = rig.stamps()
    with Session.dry(config, StopFlag()).opened(Foreign.READ):
        pass
    for refused in (Session.dry(config, StopFlag()), session(rig, config)):
        with ExitStack() as stack, pytest.raises(NotTakenOverError):
            stack.enter_context(refused.opened(Foreign.REFUSE))
    assert not (rig.directory / "inventory.sqlite").exists()
    with Session.dry(config, StopFlag()).opened(Foreign.TAKE_OVER):
        pass
    assert rig.stamps().keys() - before.keys() <= {str(rig.directory / ".lock")}
    assert "taken over: " not in caplog.text
    with session(rig, config).opened(Foreign.TAKE_OVER) as is_rebuilt:
        assert is_rebuilt
    assert "taken over: 1 project, whose pages list 1 file" in caplog.text


def test_directory_must_be_there_unless_a_dry_run_may_begin_it(rig: Rig, config: Config) -> None:
    shutil.rmtree(rig.directory)
    for each in (Session.dry(config, StopFlag()), session(rig, config)):
        with ExitStack() as stack, pytest.raises(MissingDirectoryError):
            stack.enter_context(each.opened(Foreign.REFUSE))
    with Session.dry(config, StopFlag()).opened(Foreign.TAKE_OVER, may_be_new=True) as is_rebuilt:
        assert is_rebuilt
    assert not rig.directory.exists()
