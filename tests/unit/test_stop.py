"""The flag that asks a run to stop."""

import signal
import threading
import time

from bandersnatch.stop import StopFlag


def test_a_flag_that_was_set_stays_set_and_ends_every_wait_at_once() -> None:
    flag = StopFlag()
    assert not flag.is_set()
    flag.set()
    begin = time.monotonic()
    assert flag.is_set()
    assert flag.wait(60)
    assert time.monotonic() - begin < 30


def test_a_wait_ends_when_its_time_is_up() -> None:
    assert not StopFlag().wait(0)
    assert not StopFlag().wait(-1)
    assert not StopFlag().wait(0.001)


def test_a_wait_ends_when_another_thread_sets_the_flag() -> None:
    flag = StopFlag()
    thread = threading.Thread(target=flag.set)
    thread.start()
    assert flag.wait(60)
    thread.join()


def test_a_signal_handler_may_set_it_while_the_main_thread_waits() -> None:
    flag = StopFlag()
    before = signal.signal(signal.SIGALRM, lambda *_: flag.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert flag.wait(60)
    finally:
        signal.signal(signal.SIGALRM, before)
