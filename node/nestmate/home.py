"""A home: the one folder that holds everything of one node, and where things lie in it.

A folder is a home once its marker ``home.json`` is there, which is written last; a
missing, foreign, open or newer home is refused and left untouched. This file knows
the places, not what the store or the identity in them mean.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from nestmate.config import Config, read_config
from nestmate.errors import HomeError
from nestmate.files import (
    is_private,
    make_private_folder,
    mode_text,
    sync_folder,
    write_whole,
)

HOME_FORMAT: Final = 1
HOME_VARIABLE: Final = "NESTMATE_HOME"
SOCKET_PATH_BYTES_MAX: Final = 103 if sys.platform == "darwin" else 107

# Entered only if it is ours alone: see prepare_run.
SOCKET_FOLDER: Final = Path("/tmp") / f"nestmate-{os.geteuid()}"  # noqa: S108 - ditto

_MARKER_BYTES_MAX: Final = 4_096
_WRITABLE_BY_OTHERS: Final = 0o022


@dataclass(frozen=True, slots=True)
class Home:
    """The places of one home; making a value touches no disk."""

    root: Path

    @classmethod
    def resolve(cls, option: str | None, environ: Mapping[str, str]) -> Self:
        """The home meant by ``--home``, else by NESTMATE_HOME, else the usual one.

        The usual one is the platform's folder for user data.
        """
        chosen = option or environ.get(HOME_VARIABLE)
        if not chosen:
            import platformdirs  # noqa: PLC0415 - most commands are told their home

            chosen = platformdirs.user_data_dir("nestmate", appauthor=False)
        return cls(Path(chosen).expanduser().resolve())

    @property
    def marker(self) -> Path:
        """What makes a folder a home, and of which format."""
        return self.root / "home.json"

    @property
    def config(self) -> Path:
        """The settings a person edits."""
        return self.root / "config.toml"

    @property
    def identity(self) -> Path:
        """The folder of device key and identity log."""
        return self.root / "identity"

    @property
    def store(self) -> Path:
        """The folder of the database, its head and its lock."""
        return self.root / "store"

    @property
    def run(self) -> Path:
        """The folder of what exists only while the node runs."""
        return self.root / "run"

    @property
    def pid_file(self) -> Path:
        """The process id of the running node."""
        return self.run / "node.pid"

    @property
    def log(self) -> Path:
        """The folder of the node's log files."""
        return self.root / "log"

    @property
    def log_file(self) -> Path:
        """Where a detached node writes its log."""
        return self.log / "node.log"

    @property
    def api_socket(self) -> Path:
        """The Unix socket of the HTTP door."""
        return self._socket("api.sock")

    @property
    def mcp_socket(self) -> Path:
        """The Unix socket of the MCP door."""
        return self._socket("mcp.sock")

    def _socket(self, name: str) -> Path:
        # The kernel takes short socket paths only. The way out must be the same for
        # every process of this user, whatever its environment says of folders.
        usual = self.run / name
        if len(os.fsencode(usual)) <= SOCKET_PATH_BYTES_MAX:
            return usual
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return SOCKET_FOLDER / f"{digest}-{name}"

    def exists(self) -> bool:
        """Whether a home is here, whatever its state."""
        return self.marker.exists()

    def check(self) -> None:
        """Raise HomeError unless this is a whole home this version can work with."""
        if not self.root.is_dir():
            raise HomeError(
                f"There is no home at {self.root}.",
                "Make one with `nestmate init`, or name another with --home.",
            )
        if not self.exists():
            raise HomeError(
                f"{self.root} is a folder, but not a home: {self.marker.name} is "
                "missing.",
                "Name another folder with --home, or make a home in an empty one "
                "with `nestmate init`.",
            )
        self._check_format()
        status = self.root.stat()
        if status.st_mode & _WRITABLE_BY_OTHERS:
            raise HomeError(
                f"Others may write into {self.root} ({mode_text(status)}).",
                f"Close it with: chmod 700 {self.root}",
            )

    def _check_format(self) -> None:
        try:
            with self.marker.open("rb") as file:
                marker = json.loads(file.read(_MARKER_BYTES_MAX))
            known = int(marker["format"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HomeError(
                f"{self.marker} is damaged.",
                "Restore it from a backup; its content is one line such as "
                f'{{"format": {HOME_FORMAT}}}.',
            ) from error
        if known > HOME_FORMAT:
            raise HomeError(
                f"{self.root} was made by a newer Nestmate (home format {known}; "
                f"this one knows up to {HOME_FORMAT}).",
                "Update Nestmate on this machine.",
            )

    def read_config(self) -> Config:
        """The settings of this home; HomeError if home or settings are unusable."""
        self.check()
        return read_config(self.config)

    def prepare_run(self) -> None:
        """Make the folders sockets and logs live in.

        Raises HomeError if they cannot be made, or if others could enter them.
        """
        folder = self.api_socket.parent
        try:
            make_private_folder(self.run)
            make_private_folder(self.log)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HomeError(
                f"{error.filename} cannot be made: {error.strerror}.",
                "Look at what is there, and at the disk's free space.",
            ) from error
        if folder == self.run:
            return
        if not is_private(folder.lstat()):
            raise HomeError(
                f"{folder} could be entered by others ({mode_text(folder.lstat())}).",
                "Remove it, or use a home with a shorter path.",
            )

    def make_folders(self) -> None:
        """Make the folders of a new home; HomeError if anything is there already.

        Closes an empty folder that exists to others. The marker is still missing.
        """
        if self.exists():
            raise HomeError(
                f"{self.root} already is a home.",
                "Use it, or name another folder with --home.",
            )
        if self.root.exists() and not self.root.is_dir():
            raise HomeError(f"{self.root} is a file.", "Name a folder with --home.")
        if self.root.is_dir() and any(self.root.iterdir()):
            raise HomeError(
                f"{self.root} holds other files and is left untouched.",
                "Name an empty or a new folder with --home.",
            )
        for folder in (self.root, self.identity, self.store, self.run, self.log):
            make_private_folder(folder)

    def mark(self, made_by: str) -> None:
        """Write the marker, and with it make the folder a home."""
        marker = {"format": HOME_FORMAT, "made_by": made_by}
        write_whole(self.marker, json.dumps(marker).encode() + b"\n")
        sync_folder(self.root.parent)
