"""Files and folders of another user: what root must do, and must not do, to run a server as that user."""

import os
import pwd
import stat
from pathlib import Path
from typing import TypeAlias

from ganglion_collector.errors import StartError
from ganglion_collector.launch import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, permitted_capabilities

__all__ = ["Owner", "closed_folders", "give", "make_private", "reading_capability", "user_name", "write_private"]

Owner: TypeAlias = tuple[int, int]
"""A user id and a group id."""


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def make_private(folder: Path, owner: Owner | None) -> None:
    """Make `folder` readable by `owner` alone; refuse one that another user put there before us."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        allowed = {os.geteuid(), owner[0] if owner else os.geteuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed:
            raise StartError(f"{folder} belongs to user {user_name(found.st_uid)}; remove it") from None
        folder.chmod(0o700)
    give(folder, owner)


def give(path: Path, owner: Owner | None) -> None:
    """Make `owner` the owner; None leaves it ours."""
    if owner is not None:
        os.chown(path, *owner)


def write_private(path: Path, text: str) -> None:
    """Write one line to a new file that only this user may read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")


def closed_folders(path: Path, owner: Owner) -> list[Path]:
    """Return the folders above `path` that `owner` may not pass through."""
    uid, gid = owner
    closed: list[Path] = []
    for folder in path.resolve().parents:
        status = folder.stat()
        bit = stat.S_IXOTH
        if status.st_uid == uid:
            bit = stat.S_IXUSR
        elif status.st_gid == gid:
            bit = stat.S_IXGRP
        if not status.st_mode & bit:
            closed.append(folder)
    return closed


def reading_capability(closed: Path, owner: Owner) -> int:
    """Return the capability that lets `owner` pass through `closed`, the weakest that we have.

    Raises:
        StartError: we have none.
    """
    permitted = permitted_capabilities()
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if permitted & (1 << capability):
            return capability
    raise StartError(
        f"PostgreSQL runs as user {user_name(owner[0])}, who may not pass through {closed}; have GANGLION_HOME and "
        "Python's environment where that user can reach them, or run as another user than root"
    )
