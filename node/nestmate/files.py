"""Files that are there whole or not at all, and folders only their owner may enter.

Every small file of a home is written through here: to a neighbour, synced, renamed
over the old one, and the folder synced, so that a power cut leaves the old file or
the new one. This file knows nothing of what the bytes mean.
"""

import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
_OTHERS: Final = 0o077


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably, readable by its owner only.

    Raises OSError; the old file is then untouched.
    """
    neighbour = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(neighbour, flags, PRIVATE_FILE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(path)
    except OSError:
        neighbour.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it, that only its owner may enter.

    A folder that is there already is closed to others too.
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)


def is_private(status: os.stat_result) -> bool:
    """Whether neither group nor others have any right, and the owner is us."""
    return not status.st_mode & _OTHERS and status.st_uid == os.geteuid()


def mode_text(status: os.stat_result) -> str:
    """The permissions as ``ls -l`` writes them, for sentences."""
    return stat.filemode(status.st_mode)
