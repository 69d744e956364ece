"""A net of real nodes on this machine, and the file that remembers them.

Each node is a home and a process of its own and knows the others only through
invites. It is made, started and joined as a person would do it. A node is written down
as soon as its process exists, so that ``down`` finds it whatever happened. This file
decides nothing about what the nodes do.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from nestmate.client import Client
from nestmate.errors import (
    ConflictError,
    NodeError,
    NotFoundError,
    NotRunningError,
    TimedOutError,
    UsageError,
)
from nestmate.files import make_private_folder, write_whole
from nestmate.home import HOME_VARIABLE, Home
from nestmate.operations.problems import Problem, error_of
from nestmate.testnet.processes import (
    Process,
    ending_in_order,
    spawn,
    undisturbed,
)

Topology = Literal["star", "ring", "random"]
State = Literal["up", "paused", "down"]

NODES_MAX: Final = 64
STARTS_AT_ONCE: Final = 2
COMMAND_SECONDS_MAX: Final = 60.0
READY_SECONDS_MAX: Final = 60.0
READY_POLL_SECONDS: Final = 0.05
KILL_AFTER_SECONDS: Final = 10.0
LOG_TAIL_LINES: Final = 15
VARIABLE: Final = "NESTMATE_TESTNET"
PROGRAM: Final = "nestmate"
_STATE: Final = "testnet.json"
_RING_MIN: Final = 3


class Member(msgspec.Struct):
    """One node: its number from 1, its home, its address, and its process if any."""

    number: int
    home: str
    address: str
    process: Process | None = None

    @property
    def runs(self) -> bool:
        """Whether its process is alive."""
        return self.process is not None and self.process.runs

    @property
    def state(self) -> State:
        """Whether its process is alive, frozen or gone."""
        if self.process is None or not self.process.runs:
            return "down"
        return "paused" if self.process.sleeps else "up"

    @property
    def client(self) -> Client:
        """The door to it."""
        return Client(self.home)

    @property
    def logs(self) -> list[Path]:
        """What it, and whoever worked for it, wrote down."""
        return sorted(Home(Path(self.home)).log.glob("*.log"))


class _Kept(msgspec.Struct):
    """What the file says."""

    topology: Topology
    members: list[Member]


@dataclass(slots=True)
class Testnet:
    """All nodes of one testnet, as written down in its folder."""

    __test__ = False  # a name that begins with Test is not always a test

    folder: Path
    topology: Topology
    members: list[Member]
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def member(self, number: int) -> Member:
        """Node ``number``, counted from 1."""
        for member in self.members:
            if member.number == number:
                return member
        raise NotFoundError(
            f"There is no node {number} in this testnet.",
            f"It has nodes 1 to {len(self.members)}.",
        )

    def keep(self, member: Member) -> None:
        """Write down how a node stands now; safe from any thread."""
        with self._writing:
            others = [each for each in self.members if each.number != member.number]
            self.members = sorted([*others, member], key=lambda each: each.number)
            self._save()

    def save(self) -> None:
        """Write down who is there."""
        with self._writing:
            self._save()

    def _save(self) -> None:
        kept = _Kept(self.topology, self.members)
        write_whole(self.folder / _STATE, msgspec.json.encode(kept))


def folder_of(option: str | None) -> Path:
    """Where the testnet lies: as said, by NESTMATE_TESTNET, or in the user's data."""
    chosen = option or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    import platformdirs  # noqa: PLC0415 - only where nobody said where

    return Path(platformdirs.user_data_dir("nestmate-testnet", appauthor=False))


def open_testnet(folder: Path) -> Testnet:
    """The testnet in a folder; NotFoundError if there is none."""
    try:
        kept = msgspec.json.decode((folder / _STATE).read_bytes(), type=_Kept)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"There is no testnet in {folder}.", "Make one: `nestmate testnet up 3`."
        ) from None
    except msgspec.MsgspecError as error:
        raise NodeError(
            f"{folder / _STATE} is damaged: {error}.",
            "End its nodes by hand, then remove the folder.",
        ) from error
    return Testnet(folder, kept.topology, kept.members)


def make_testnet(
    folder: Path,
    count: int,
    topology: Topology = "star",
    seed: int = 1,
    *,
    prepare: Callable[[int, Home], None] | None = None,
) -> Testnet:
    """Start ``count`` nodes and join them by invites; undone if any step fails.

    ``prepare`` is told the number and the home of each node before it starts.
    """
    if not 1 <= count <= NODES_MAX:
        raise UsageError(f"A testnet has 1 to {NODES_MAX} nodes, not {count}.")
    _claim_folder(folder)
    net = Testnet(folder, topology, [])
    with ending_in_order(), ExitStack() as undoing:
        undoing.callback(take_down, net)
        net.save()
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            numbers = range(1, count + 1)
            list(pool.map(lambda number: _make(net, number, prepare), numbers))
        for guest, host in _edges(count, topology, seed):
            join(net.member(guest), net.member(host))
        undoing.pop_all()
    return net


def join(guest: Member, host: Member) -> None:
    """Let one node invite another."""
    line = host.client.invite(uses=1, expires="10m").invite
    guest.client.join(line)


def start(net: Testnet, member: Member, *options: str, program: str = PROGRAM) -> None:
    """Start a node, and come back once it answers.

    Its process is written down first. ``program`` is a module that runs a node when
    it is called as ours is. Raises what the node said if it ended instead.
    """
    if member.runs:
        raise ConflictError(f"Node {member.number} runs already.")
    home = Home(Path(member.home))
    home.prepare_run()
    log = home.log / "start.log"
    member.process = spawn(
        _command(member.home, "up", *options, program=program),
        log,
        folder=member.home,
        environment=os.environ | {HOME_VARIABLE: member.home},
    )
    net.keep(member)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not member.client.is_ready():
        if not member.runs:
            raise _told(log.read_bytes(), f"node {member.number} ended")
        if time.monotonic() > deadline:
            raise TimedOutError(
                f"Node {member.number} does not answer within {READY_SECONDS_MAX:g} s.",
                f"Look into {home.log}.",
            )
        time.sleep(READY_POLL_SECONDS)


def tell(member: Member, number: signal.Signals) -> None:
    """Send a node's process a signal; NotRunningError if it is gone."""
    if member.process is None or not member.process.tell(number):
        raise NotRunningError(
            f"Node {member.number} does not run.",
            f"Start it: `nestmate testnet start {member.number}`.",
        )
    if number is signal.SIGKILL:
        member.process.wait_gone(KILL_AFTER_SECONDS)


def stop(member: Member) -> None:
    """End a node in order, and with force where it takes too long."""
    process = member.process
    if process is not None and process.tell(signal.SIGTERM):
        process.tell(signal.SIGCONT)
        _see_off(process)


def take_down(net: Testnet) -> None:
    """Stop every node and remove what the testnet made, and nothing else."""
    with undisturbed():
        processes = [member.process for member in net.members if member.process]
        for process in processes:
            process.tell(signal.SIGTERM)
            process.tell(signal.SIGCONT)
        for process in processes:
            _see_off(process)
        for number in range(1, NODES_MAX + 1):
            shutil.rmtree(home_of(net.folder, number), ignore_errors=True)
        (net.folder / _STATE).unlink(missing_ok=True)
        with suppress(OSError):
            net.folder.rmdir()


def ends_of_logs(net: Testnet, lines_max: int = LOG_TAIL_LINES) -> list[str]:
    """What all nodes, and whoever worked for them, wrote down last."""
    said: list[str] = []
    for member in net.members:
        for log in member.logs:
            tail = log.read_text(errors="replace").splitlines()[-lines_max:]
            if tail:
                said += [f"--- node {member.number} {log.name}", *tail]
    return said


def run_nestmate(home: str, *words: str) -> dict[str, Any]:
    """Run one command at a home; its JSON answer, or the NodeError it ended with."""
    done = subprocess.run(  # noqa: S603 - ourselves
        _command(home, *words),
        capture_output=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise _told(done.stderr, f"{words[0]} ended with {done.returncode}")
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def _command(home: str, *words: str, program: str = PROGRAM) -> list[str]:
    return [sys.executable, "-m", program, "--home", home, "--json", *words]


def _claim_folder(folder: Path) -> None:
    """Make the folder, or take an empty one; nobody else's is touched."""
    if (folder / _STATE).exists():
        raise ConflictError(
            f"A testnet is there already in {folder}.",
            "Take it down first: `nestmate testnet down`.",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} holds other things and is left untouched.",
            "Name an empty or a new folder with --dir.",
        )
    make_private_folder(folder)


def home_of(folder: Path, number: int) -> Path:
    """Where node ``number`` of a testnet lies."""
    return folder / f"node{number}"


def _make(
    net: Testnet, number: int, prepare: Callable[[int, Home], None] | None
) -> None:
    home = str(home_of(net.folder, number))
    made = run_nestmate(home, "init", "--name", f"node{number}", "--preset", "local")
    if prepare is not None:
        prepare(number, Home(Path(home)))
    start(net, Member(number, home, made["address"]))


def _see_off(process: Process) -> None:
    if not process.wait_gone(KILL_AFTER_SECONDS):
        process.tell(signal.SIGKILL)
        process.wait_gone(KILL_AFTER_SECONDS)


def _told(said: bytes, what: str) -> NodeError:
    """The error another process spoke of last, or all it said if that is none."""
    try:
        return error_of(msgspec.json.decode(said.splitlines()[-1], type=Problem))
    except (msgspec.MsgspecError, IndexError):
        words = said.decode(errors="replace").strip()
        return NodeError(f"{what}: {words}" if words else f"{what} without a word.")


def _edges(count: int, topology: Topology, seed: int) -> Sequence[tuple[int, int]]:
    """Who joins whom, as pairs of guest and host; every node is reached."""
    match topology:
        case "star":
            return [(number, 1) for number in range(2, count + 1)]
        case "ring":
            closing = [(1, count)] if count >= _RING_MIN else []
            return [(number, number - 1) for number in range(2, count + 1)] + closing
        case "random":
            dice = random.Random(seed)  # noqa: S311 - a picture, not a secret
            return [(n, dice.randrange(1, n)) for n in range(2, count + 1)]
