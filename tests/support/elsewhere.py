"""An executor of other machines: each is an interpreter of its own, which shares only the mirror's directory with the run.

It takes the place of the pool of workers. A machine is told its token, and gets functions of ``project/`` with their
arguments as bytes; all else it has from the configuration file. ``python -m tests.support.elsewhere FILE TOKEN`` is one.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from msgspec.structs import replace

from bandersnatch.config.config import Config
from bandersnatch.config.option_groups import HttpConfig
from bandersnatch.http.conversation import Conversation
from bandersnatch.http.driver import Driver
from bandersnatch.http.run_limits import RunLimits
from bandersnatch.plan.removals import RemovalPolicy
from bandersnatch.project.job_context import JobContext, build_context
from bandersnatch.state.reservations import Reservation
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.upstream.index import Upstream
from bandersnatch.workers.link import PoolSize
from bandersnatch.workers.pool import WorkerLostError

MACHINES = 2


class Elsewhere(Executor):
    """Has other machines do what is submitted, one task at a time each."""

    def __init__(self, config: Path, storage: FilesystemStorage, recover: Callable[[str], None]) -> None:
        self._config, self._storage, self._recover = config, storage, recover
        self._threads = ThreadPoolExecutor(MACHINES)
        self._idle: SimpleQueue[tuple[str, subprocess.Popen[bytes]]] = SimpleQueue()
        self.window = 2 * MACHINES
        for _ in range(MACHINES):
            self._start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._threads.submit(self._call, pickle.dumps((fn, args)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while not self._idle.empty():
            self._idle.get()[1].communicate()

    def _start(self) -> None:
        token = self._storage.admit()
        command = [sys.executable, "-m", "tests.support.elsewhere", str(self._config), token]
        self._idle.put((token, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)))

    def _call(self, task: bytes) -> object:
        token, machine = self._idle.get()
        assert machine.stdin is not None
        assert machine.stdout is not None
        try:
            machine.stdin.write(task)
            machine.stdin.flush()
            result: object = pickle.load(machine.stdout)
        except (EOFError, OSError):
            machine.communicate()
            self._recover(token)
            self._start()
            raise WorkerLostError from None
        self._idle.put((token, machine))
        return result


@contextmanager
def elsewhere(
    config: Path,
    context: JobContext,
    _http: HttpConfig,
    _limits: RunLimits,
    _size: PoolSize,
    recover: Callable[[str], None],
) -> Iterator[Elsewhere]:
    """Stand for ``worker_pool``."""
    with Elsewhere(config, context.storage, recover) as executor:
        yield executor


def main(path: str, token: str) -> None:
    """Be a machine: run one task after another, until there are no more."""
    config = Config.load(Path(path))
    storage = FilesystemStorage(config.directory).twin(token)
    with (
        closing(Conversation(config.http)) as conversation,
        closing(conversation.new_transfer()) as transfer,
        closing(Driver(transfer, 1)) as driver,
    ):
        documents = Upstream(conversation, config.http.upstream_url).documents
        context = build_context(config, RemovalPolicy.of(config.removals), documents, storage, lambda: False)
        for number in count():
            try:
                function, arguments = pickle.load(sys.stdin.buffer)
            except EOFError:  # there are no more
                return
            with closing(Reservation(storage, f"{token}-{number}")) as reservation:
                own = replace(context, workers=MACHINES, reservation=reservation)
                result = driver.finish(function(own, *arguments))
            sys.stdout.buffer.write(pickle.dumps(result))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
