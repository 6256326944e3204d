"""Makes records and root index of a mirror that holds many projects, without pages and files that would take days to fetch.

``python -P holding.py CONFIG SERIAL NAMES`` does it for the names in a file: in a process of its own, so that the records
are made by the bandersnatch that is measured.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from bandersnatch.config.config import Config
from bandersnatch.names import NormalizedName
from bandersnatch.operations.session import Session
from bandersnatch.state.inventory import HeldProject, Inventory
from bandersnatch.stop import StopFlag
from bandersnatch.storage.filesystem import FilesystemStorage
from bandersnatch.storage.layout import FINGERPRINT, INVENTORY, STATE


def hold(config: Config, names: Iterable[str], serial: int) -> None:
    """Make the inventory and the state of a mirror that has these projects and is at a serial.

    It seems to have been made with this configuration, so that the next run looks only at what has changed since.
    """
    config.directory.mkdir(exist_ok=True)
    inventory = Inventory(config.directory / INVENTORY)
    inventory.open()
    projects = map(NormalizedName, names)
    inventory.put_all(HeldProject(name, name, serial, None, 10, 10**6) for name in projects)
    storage = FilesystemStorage(config.directory)
    Session(config, storage, inventory, StopFlag()).write_root_index(serial)
    inventory.close()
    (config.directory / STATE).write_text(f"{serial}\n")
    (config.directory / FINGERPRINT).write_text(f"{config.fingerprint}\n")


if __name__ == "__main__":
    hold(Config.load(Path(sys.argv[1])), Path(sys.argv[3]).read_text().split(), int(sys.argv[2]))
