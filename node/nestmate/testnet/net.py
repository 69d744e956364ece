"""A net of real nodes on this machine, and the file that remembers them.

Each node is a home and a process of its own and knows the others only through
invites. Everything goes through the command line, as a person would do it. This file
decides nothing about what the nodes do.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from nestmate.client import Client
from nestmate.errors import (
    ConflictError,
    NodeError,
    NotFoundError,
    NotRunningError,
    UsageError,
)
from nestmate.files import make_private_folder, write_whole
from nestmate.testnet.processes import Process

Topology = Literal["star", "ring", "random"]

NODES_MAX: Final = 64
STARTS_AT_ONCE: Final = 2
COMMAND_SECONDS_MAX: Final = 60.0
KILL_AFTER_SECONDS: Final = 10.0
VARIABLE: Final = "NESTMATE_TESTNET"
_STATE: Final = "testnet.json"


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
    def client(self) -> Client:
        """The door to it."""
        return Client(self.home)


class Testnet(msgspec.Struct):
    """All nodes of one testnet, as written down in its folder."""

    __test__ = False  # a name that begins with Test is not always a test

    folder: str
    topology: Topology
    members: list[Member] = []

    def member(self, number: int) -> Member:
        """Node ``number``, counted from 1."""
        for member in self.members:
            if member.number == number:
                return member
        raise NotFoundError(
            f"There is no node {number} in this testnet.",
            f"It has nodes 1 to {len(self.members)}.",
        )

    def save(self) -> None:
        """Write down who is there."""
        write_whole(Path(self.folder) / _STATE, msgspec.json.encode(self))


def folder_of(option: str | None) -> Path:
    """Where the testnet lies: as said, by NESTMATE_TESTNET, or in the user's data."""
    chosen = option or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).resolve()
    import platformdirs  # noqa: PLC0415 - only where nobody said where

    return Path(platformdirs.user_data_dir("nestmate-testnet", appauthor=False))


def open_testnet(folder: Path) -> Testnet:
    """The testnet in a folder; NotFoundError if there is none."""
    try:
        return msgspec.json.decode((folder / _STATE).read_bytes(), type=Testnet)
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no testnet in {folder}.", "Make one: `nestmate testnet up 3`."
        ) from None
    except msgspec.MsgspecError as error:
        raise NodeError(
            f"{folder / _STATE} is damaged: {error}.", "Remove the folder."
        ) from error


def make_testnet(
    folder: Path, count: int, topology: Topology = "star", seed: int = 1
) -> Testnet:
    """Start ``count`` nodes and join them by invites; undone if any step fails."""
    if not 1 <= count <= NODES_MAX:
        raise UsageError(f"A testnet has 1 to {NODES_MAX} nodes, not {count}.")
    if (folder / _STATE).exists():
        raise ConflictError(
            f"A testnet is there already in {folder}.",
            "Take it down first: `nestmate testnet down`.",
        )
    make_private_folder(folder)
    net = Testnet(str(folder), topology)
    net.save()
    try:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            net.members = list(
                pool.map(lambda number: _make(folder, number), range(1, count + 1))
            )
        net.save()
        for guest, host in _edges(count, topology, seed):
            join(net.member(guest), net.member(host))
    except BaseException:
        take_down(net)
        raise
    return net


def join(guest: Member, host: Member) -> None:
    """Let one node invite another."""
    invite = host.client.raw("invite", {"uses": 1, "expires": "10m"})
    line = msgspec.json.decode(invite)["invite"]
    guest.client.raw("join", {"invite": line})


def start(member: Member, *options: str) -> None:
    """Start a node in the background and remember its process."""
    if member.runs:
        raise ConflictError(f"Node {member.number} runs already.")
    run_nestmate(member.home, "up", "--detach", *options)
    pid = int((Path(member.home) / "run" / "node.pid").read_text(encoding="utf-8"))
    member.process = Process.of(pid)


def tell(member: Member, number: signal.Signals) -> None:
    """Send a node's process a signal; NotRunningError if it is gone."""
    if member.process is None or not member.process.tell(number):
        raise NotRunningError(
            f"Node {member.number} does not run.",
            f"Start it: `nestmate testnet start {member.number}`.",
        )
    if number is signal.SIGKILL:
        member.process.wait_gone(KILL_AFTER_SECONDS)


def take_down(net: Testnet) -> None:
    """Stop every node and remove the testnet's folder."""
    for member in net.members:
        if member.process is not None:
            member.process.tell(signal.SIGCONT)
            member.process.tell(signal.SIGTERM)
    for member in net.members:
        process = member.process
        if process is not None and not process.wait_gone(KILL_AFTER_SECONDS):
            process.tell(signal.SIGKILL)
            process.wait_gone(KILL_AFTER_SECONDS)
    shutil.rmtree(net.folder, ignore_errors=True)


def run_nestmate(home: str, *words: str) -> dict[str, Any]:
    """Run one command at a home; its JSON answer, or the NodeError it ended with."""
    command = [sys.executable, "-m", "nestmate", "--home", home, "--json", *words]
    done = subprocess.run(  # noqa: S603 - ourselves
        command, capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        from nestmate.operations.problems import Problem, error_of  # noqa: PLC0415

        try:
            problem = msgspec.json.decode(done.stderr.splitlines()[-1], type=Problem)
        except (msgspec.MsgspecError, IndexError):
            said = done.stderr.decode(errors="replace").strip()
            raise NodeError(
                f"{words[0]} ended with {done.returncode}: {said}"
            ) from None
        raise error_of(problem)
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def _make(folder: Path, number: int) -> Member:
    home = str(folder / f"node{number}")
    made = run_nestmate(home, "init", "--name", f"node{number}", "--preset", "local")
    member = Member(number, home, made["address"])
    start(member)
    return member


def _edges(count: int, topology: Topology, seed: int) -> Sequence[tuple[int, int]]:
    """Who joins whom, as pairs of guest and host; every node is reached."""
    match topology:
        case "star":
            return [(number, 1) for number in range(2, count + 1)]
        case "ring":
            closing = [(1, count)] if count > 2 else []  # noqa: PLR2004 - a ring
            return [(number, number - 1) for number in range(2, count + 1)] + closing
        case "random":
            dice = random.Random(seed)  # noqa: S311 - a picture, not a secret
            return [(n, dice.randrange(1, n)) for n in range(2, count + 1)]
