"""Does what a command does for each index of a mirror, one after another; a mirror of one index is the case of one.

What happens to one index says nothing about the others: if it can't be asked, or another run works on it, that is told,
the others have their turn, and the exit status is the most serious of all.
"""

import argparse
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bandersnatch.cli.exit_codes import DONE, LOCK_HELD, REMOVALS_WITHHELD, REPAIRED, SOME_FAILED, STOPPED
from bandersnatch.config.config import UPSTREAMS
from bandersnatch.config.parts import Part, parts_of
from bandersnatch.config.upstream_sections import RESERVED as MIRROR
from bandersnatch.errors import LockHeldError, UpstreamError, UsageError
from bandersnatch.shown_text import without_credentials
from bandersnatch.storage.layout import WEB

if TYPE_CHECKING:
    from bandersnatch.config.config import Config
    from bandersnatch.names import NormalizedName

logger = logging.getLogger(__name__)

_BY_WEIGHT = (STOPPED, LOCK_HELD, REMOVALS_WITHHELD, SOME_FAILED, REPAIRED, DONE)


def add_upstream(parser: argparse.ArgumentParser, default: str) -> None:
    """Let a command be about one index of several."""
    parser.add_argument(
        "--upstream",
        metavar="NAME",
        help=f"only that of the section [upstream NAME], or of [mirror] for the name {MIRROR} (default: {default})",
    )


def chosen_parts(config: "Config", chosen: str | None) -> tuple[Part, ...]:
    """Return the parts with the name that was chosen, or all.

    Raises:
        UsageError: there is no such section.
    """
    parts = parts_of(config)
    if chosen is None:
        return parts
    wanted = tuple(part for part in parts if (part.name or MIRROR) == chosen)
    if not wanted:
        names = ", ".join(part.name or MIRROR for part in parts)
        raise UsageError(f"--upstream {chosen}: there is no section [upstream {chosen}]; expected one of {names}")
    return wanted


def parts_of_names(
    config: "Config", chosen: str | None, names: Sequence["NormalizedName"]
) -> "list[tuple[Config, list[NormalizedName]]]":
    """Return the configurations of the parts that a command with names is about, each with its names.

    If none is chosen, the owner of a name has it.

    Raises:
        UsageError: there is no such section, a project is another one's, or the index has no mirror here yet.
        StorageError: an index has got a prefix, or lost it.
    """
    _require_places(config)
    owners = config.owners
    chosen_part = chosen_parts(config, chosen)[0] if chosen is not None else None
    of: dict[str | None, list[NormalizedName]] = {}
    for name in names:
        owner = owners.owner_of(name)
        if chosen_part is None or chosen_part.prefix:  # at a prefix, there is nobody else's
            owner = owner if chosen_part is None else chosen_part.name
        elif chosen_part.name != owner:
            whose = "[mirror]" if owner is None else f"[upstream {owner}]"
            raise UsageError(f"--upstream {chosen}: {name} is of {whose}, which config explain {name} tells")
        of.setdefault(owner, []).append(name)
    found = [(part, of[part.name]) for part in parts_of(config) if part.name in of]
    for part, _ in found:
        if part.name is not None and not part.config.directory.is_dir():
            raise UsageError(f"{part.section}: nothing is mirrored of it yet; bandersnatch mirror does that")
    return [(part.config, its) for part, its in found]


def most_serious(statuses: Iterable[int]) -> int:
    """Return the exit status of several parts."""
    return min(statuses, key=_BY_WEIGHT.index, default=DONE)


def require_one(config: "Config", chosen: str | None) -> None:
    """Refuse to print one document about several indexes.

    Raises:
        UsageError: it would be about several.
    """
    if len(chosen_parts(config, chosen)) > 1:
        raise UsageError("--json needs --upstream NAME, since there are several indexes")


def each_part(
    config: "Config",
    chosen: str | None,
    act: Callable[["Config"], int],
    *,
    makes_folders: bool = False,
    skips_new: bool = True,
) -> int:
    """Act for each part, and return the most serious exit status.

    With ``makes_folders``, those of parts that have had no run yet are made; else such parts are skipped, if ``skips_new``.

    Raises:
        MirrorError: as the action does, except for an index among several that can't be asked, or is being worked on.
    """
    parts = chosen_parts(config, chosen)
    _require_places(config)
    if len(parts) == 1 and parts[0].name is None:
        return act(parts[0].config)
    statuses: list[int] = []
    held: LockHeldError | None = None
    for part in parts:
        if part.name is not None and makes_folders:
            _make_folder(config, part)
        elif part.name is not None and skips_new and not part.config.directory.is_dir():
            logger.warning("%s: nothing is mirrored of it yet", part.section)
            continue
        logger.info("%s: %s", part.section, without_credentials(part.config.http.upstream_url))
        folder = None if makes_folders or part.config.directory.is_dir() else _folder_before(config, part)
        try:
            statuses.append(act(part.config if folder is None else replace(part.config, directory=folder)))
        except UpstreamError as error:
            is_debugging = logger.isEnabledFor(logging.DEBUG)
            logger.error("%s: the run has ended: %s", part.section, error, exc_info=is_debugging)
            statuses.append(STOPPED)
        except LockHeldError as error:
            statuses.append(LOCK_HELD)
            held = error
    status = most_serious(statuses)
    if held is not None and status == LOCK_HELD:
        raise held
    return status


def _require_places(config: "Config") -> None:
    if not config.upstreams:
        return
    from bandersnatch.storage.upstream_folder import require_place

    for each in config.upstreams:
        require_place(config.directory, config.directory / UPSTREAMS / each.name, each.prefix)


def tell_abandoned(config: "Config") -> None:
    """Warn about indexes that are mirrored here, but are in no section any more: what they have stays as it is."""
    from bandersnatch.storage.upstream_folder import abandoned

    for folder, served in abandoned(config.directory / UPSTREAMS, {each.name for each in config.upstreams}):
        now = next((each for each in config.upstreams if config.directory / WEB / each.prefix == served), None)
        if now is not None:
            what = f"what is mirrored of it is that of [upstream {now.name}] now; delete this folder of old records"
        else:
            what = (
                f"what is mirrored of it stays, and is not kept current; to remove it, delete this folder and {served}"
            )
        logger.warning("%s: there is no section [upstream %s] any more: %s", folder, folder.name, what)


def _folder_before(config: "Config", part: Part) -> Path | None:
    """Return the folder of an index whose section has another name now: what is served tells that it is the same one."""
    from bandersnatch.storage.upstream_folder import abandoned

    led = abandoned(config.directory / UPSTREAMS, {each.name for each in config.upstreams})
    return next((folder for folder, served in led if served == config.directory / WEB / part.prefix), None)


def _make_folder(config: "Config", part: Part) -> None:
    from bandersnatch.storage.mirror_folder import require_directory
    from bandersnatch.storage.upstream_folder import prepare_upstream_folder, rename_upstream_folder

    mirror, folder = config.directory, part.config.directory
    require_directory(mirror)  # nothing is made below a disk that is not mounted
    if (old := _folder_before(config, part)) is not None:
        rename_upstream_folder(old, folder)
    prepare_upstream_folder(mirror, folder, part.prefix)
