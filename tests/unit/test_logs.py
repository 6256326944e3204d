"""Log lines: one event is one line, whatever upstream wrote; and where they go."""

import io
import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bandersnatch.errors import ConfigError
from bandersnatch.logs import LINE_FORMAT, ConsoleHandler, KeptRecords, PlainFormatter, set_up_logging
from tests.support.builders import unhurried

FORGED = "2024-01-01 00:00:00,000 INFO: synced to serial 1: 0 updated"


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Put back what ``set_up_logging`` changes for the whole process."""
    root, names = logging.getLogger(), ("bandersnatch", "urllib3")
    handlers, level, factory = root.handlers[:], root.level, logging.getLogRecordFactory()
    levels = [logging.getLogger(name).level for name in names]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(factory)
    for name, before in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(before)


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("bandersnatch", logging.INFO, "", 0, message, arguments, exc_info)


def formatted(message: str, *arguments: object, error: BaseException | None = None) -> str:
    return PlainFormatter("%(levelname)s: %(message)s").format(record(message, *arguments, error=error))


def raised(error: BaseException) -> BaseException:
    """Return the error with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any kind is asked for
        return caught


def test_a_line_has_time_level_and_message() -> None:
    line = PlainFormatter(LINE_FORMAT).format(record("%s: %d files", "sample", 2))
    assert line.endswith(" INFO: sample: 2 files")
    assert line[:4].isdigit()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï ☃", "plain ünï ☃"),
        (f"a\n{FORGED}", f"a\\n{FORGED}"),
        ("a\r\nb", "a\\r\\nb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9bb", "a\\x9bb"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("a\u2028b\u2029\x85", "a\\u2028b\\u2029\\x85"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x0bb\x0cc\x1cd", "a\\x0bb\\x0cc\\x1cd"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_what_upstream_wrote_can_neither_end_a_line_nor_move_the_cursor(text: str, shown: str) -> None:
    assert formatted("%s", text) == f"INFO: {shown}"


def test_what_looks_like_a_traceback_can_not_end_a_line() -> None:
    line = formatted("%s", f"a\nTraceback (most recent call last):\n{FORGED}\x1b[2J")
    assert "\n" not in line
    assert "\x1b" not in line


@unhurried
@given(st.text() | st.lists(st.sampled_from(["\n", "Traceback ", "\r", "\x1b", "a"])).map("".join))
def test_any_message_is_one_printable_line(text: str) -> None:
    assert formatted("%s", text).isprintable()


def test_a_traceback_keeps_its_lines() -> None:
    lines = formatted("failed", error=raised(ValueError("why"))).splitlines()
    assert lines[0] == "INFO: failed"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: why"


def test_the_text_of_an_error_below_a_traceback_can_not_forge_a_line() -> None:
    lines = formatted("failed", error=raised(ValueError(f"a\n{FORGED}\x1b[2J"))).splitlines()
    assert FORGED not in lines
    assert not any("\x1b" in line for line in lines)


def test_the_console_shows_lines_as_they_are() -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(Console(file=stream, force_terminal=True, width=40, color_system="truecolor"))
    handler.setFormatter(PlainFormatter("%(message)s"))
    text = "[bold]x[/bold] [/] 'quoted'  123 https://x.example "
    handler.emit(record("%s", text))
    assert stream.getvalue().replace("\n  ", " ") == f"{text}\n"


def test_the_console_breaks_lines_between_words() -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(Console(file=stream, force_terminal=True, width=20))
    handler.setFormatter(PlainFormatter("%(message)s"))
    handler.emit(record("%s", "some words and https://index.example/simple/foo/ behind"))
    assert stream.getvalue().splitlines() == [
        "some words and",
        "  https://index.example/simple/foo/",
        "  behind",
    ]


def test_the_console_names_some_projects_and_not_thousands() -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(Console(file=stream, force_terminal=True, width=100))
    handler.setFormatter(PlainFormatter("%(message)s"))
    for number in range(50):
        line = record("project-%d", number)
        line.is_of_project = True
        handler.emit(line)
    handler.emit(record("the end"))
    lines = stream.getvalue().splitlines()
    assert lines[:20] == [f"project-{number}" for number in range(20)]
    assert lines[20:] == ["further projects are counted but not named here; --debug names them all", "the end"]


def test_the_console_makes_no_pictures_of_words() -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(Console(file=stream, force_terminal=True))
    handler.setFormatter(PlainFormatter("%(message)s"))
    handler.emit(record("sample:bug:1.0 :snake:"))
    assert stream.getvalue() == "sample:bug:1.0 :snake:\n"


@pytest.mark.usefixtures("untouched_logging")
def test_without_a_console_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(logging.INFO, None, None)
    logging.getLogger("bandersnatch.operations.mirror").info("hello\n%s", FORGED)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(f" INFO: hello\\n{FORGED}\n")


@pytest.mark.usefixtures("untouched_logging")
def test_with_a_console_lines_go_there() -> None:
    stream = io.StringIO()
    set_up_logging(logging.INFO, Console(file=stream), None)
    logging.getLogger("bandersnatch.operations.mirror").info("hello")
    assert stream.getvalue().endswith(" INFO: hello\n")


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.DEBUG, ["debug", "info", "warning"]),
        (logging.INFO, ["info", "warning"]),
        (logging.WARNING, ["warning"]),
    ],
)
def test_the_level_is_that_of_our_lines(level: int, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(level, None, None)
    logger = logging.getLogger("bandersnatch.operations.mirror")
    logger.debug("debug")
    logger.info("info")
    logger.warning("warning")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == shown


@pytest.mark.usefixtures("untouched_logging")
def test_other_libraries_are_heard_only_when_they_warn(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(logging.INFO, None, None)
    logging.getLogger("another").info("chatter")
    logging.getLogger("another").warning("trouble")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["trouble"]


@pytest.mark.usefixtures("untouched_logging")
def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(logging.INFO, None, None)
    set_up_logging(logging.INFO, None, None)
    logging.getLogger("bandersnatch").info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("untouched_logging")
def test_a_logging_configuration_says_where_lines_go(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = tmp_path / "logging.conf"
    path.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nargs=({str(log)!r},)\n"
    )
    set_up_logging(logging.INFO, None, path)
    logging.getLogger("bandersnatch").warning("hello")
    for handler in logging.getLogger().handlers:
        handler.close()
    assert log.read_text() == "hello\n"


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize("text", ["", "garbage", "[loggers]\nkeys=root\n"])
def test_a_logging_configuration_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "logging.conf"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{path}: no logging configuration: "):
        set_up_logging(logging.INFO, None, path)


def test_importing_the_package_sets_nothing_up() -> None:
    assert not any(isinstance(handler, ConsoleHandler) for handler in logging.getLogger().handlers)
    assert "bandersnatch.logs" in sys.modules


def test_traceback_of_a_kept_record_has_its_lines() -> None:
    kept = KeptRecords()
    try:
        raise ValueError("a bug")
    except ValueError:
        kept.emit(logging.LogRecord("bandersnatch", logging.ERROR, "", 0, "%s failed", ("foo",), sys.exc_info()))
    (record,) = pickle.loads(pickle.dumps(kept.take()))
    first, *others = PlainFormatter("%(message)s").format(record).splitlines()
    assert first == "foo failed"
    assert others[0] == "Traceback (most recent call last):"
    assert others[-1] == "ValueError: a bug"


@pytest.mark.usefixtures("untouched_logging")
def test_what_upstream_wrote_is_as_harmless_in_a_log_that_a_file_configures(tmp_path: Path) -> None:
    log, config = tmp_path / "run.log", tmp_path / "logging.conf"
    config.write_text(
        "[loggers]\nkeys = root\n[handlers]\nkeys = file\n[formatters]\nkeys =\n[logger_root]\nlevel = DEBUG\n"
        f"handlers = file\n[handler_file]\nclass = FileHandler\nargs = ({str(log)!r},)\n"
    )
    set_up_logging(logging.INFO, None, config)
    logger = logging.getLogger("bandersnatch.http.conversation")
    logger.warning("upstream answered 500 %s", f"\x1b[2J\n{FORGED}")
    logger.error("%s", "a", exc_info=raised(ValueError("\x1b[2J")))
    logging.getLogger().handlers[0].close()
    lines = log.read_text().split("\n")
    assert lines[0] == f"upstream answered 500 \\x1b[2J\\n{FORGED}"
    assert lines[1] == "a"
    assert lines[-2] == "ValueError: \\x1b[2J"
