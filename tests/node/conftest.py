"""Real nodes for tests: homes, the command line, and processes ended by their pid.

Keeps two rules: a node is started by ``nestmate up --detach`` as a person would start
it, and none outlives its test. Knows nothing of what a node does.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nestmate.client import Client
from nestmate.home import Home

COMMAND_SECONDS_MAX = 90
END_SECONDS_MAX = 30


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err.splitlines()[-1])


@dataclass
class Nest:
    """One home on this machine, and what a person can do with it."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def client(self) -> Client:
        return Client(self.root)

    @property
    def pid(self) -> int:
        return int(self.home.pid_file.read_text())

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "nestmate", *words]

    def run(self, *words: str, given: str | bytes = b"", **environ: str) -> Said:
        """One command at this home, in a process of its own."""
        done = subprocess.run(
            self.command(*words),
            input=given.encode() if isinstance(given, str) else given,
            env=self.environ | environ,
            capture_output=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        return Said(
            done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        )

    def ask(self, *words: str) -> Any:
        """The JSON a command that succeeds prints."""
        said = self.run("--json", *words)
        assert said.code == 0, (words, said)
        return said.json

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """A command that goes on, though not for ever; end it yourself."""
        command = self.command(*words)
        process = subprocess.Popen(command, env=self.environ, **options)
        watchdog = threading.Timer(COMMAND_SECONDS_MAX, process.kill)
        watchdog.daemon = True
        watchdog.start()
        return process

    def make(self, *options: str) -> "Nest":
        self.ask("init", "--name", self.root.name, *options)
        return self

    def up(self, *options: str) -> Any:
        return self.ask("up", "--detach", *options)

    def tell(self, *numbers: signal.Signals) -> int:
        """Send the node of this home signals; its process, or 0 if there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = self.pid
            if os.fsencode(self.root) in Path(f"/proc/{pid}/cmdline").read_bytes():
                for number in numbers:
                    os.kill(pid, number)
                return pid
        return 0


def is_gone(pid: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


@contextlib.contextmanager
def nests_in(folder: Path) -> Iterator[Callable[[str], Nest]]:
    """Makes nests by name, and ends all their nodes."""
    made: list[Nest] = []
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NESTMATE_", "XDG_"))
    }

    def nest(name: str) -> Nest:
        root = folder / name
        told = {"HOME": str(folder), "NESTMATE_HOME": str(root)}
        made.append(Nest(root, environ | told))
        return made[-1]

    try:
        yield nest
    finally:
        ending = [(each, each.tell(signal.SIGCONT, signal.SIGTERM)) for each in made]
        for each, pid in ending:
            if pid and not is_gone(pid, END_SECONDS_MAX):
                each.tell(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def nests() -> Iterator[Callable[[str], Nest]]:
    """``nests("ada")`` is a place for a home, short enough for a Unix socket."""
    with nests_in(Path(tempfile.mkdtemp(prefix="nest-"))) as nest:
        yield nest


@pytest.fixture(scope="module")
def ada(nests) -> Nest:
    """A node that runs."""
    nest = nests("ada").make()
    nest.up()
    return nest


@pytest.fixture(scope="module")
def bob(nests, ada) -> Nest:
    """A second node, a friend of the first."""
    nest = nests("bob").make()
    nest.up()
    nest.ask("join", ada.ask("invite")["invite"])
    return nest
