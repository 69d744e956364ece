"""The switchboard: our end of the relay, and the proof that nothing goes around it.

It starts the relay as a process of its own, says which port each node is to announce,
cuts the net in halves and heals it, and tells how many bytes went from whom to whom.
``ways_around`` looks into the kernel's tables for connections of the nodes that do not
end at the relay. This file knows nothing of what nodes do.
"""

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from nestmate.errors import NodeError
from nestmate.testnet.sockets import (
    ESTABLISHED,
    LISTENING,
    inodes_of,
    tcp_sockets,
    udp_sockets,
)

END_SECONDS_MAX: Final = 5.0
_RELAY: Final = "nestmate.testnet.relay"

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """How things stand: bytes carried so far by from and to, and standing calls.

    ``strangers`` are connections that came from no node, ``hung`` those that were
    begun across a cut.
    """

    carried: dict[Pair, int]
    standing: tuple[Pair, ...]
    strangers: int
    hung: int

    @property
    def total(self) -> int:
        """All bytes carried."""
        return sum(self.carried.values())

    def across(self, halves: Sequence[Collection[int]]) -> int:
        """The bytes that went from one half to the other."""
        return sum(
            size for pair, size in self.carried.items() if is_across(pair, halves)
        )


class Switchboard:
    """A context manager around the relay's process."""

    def __init__(self, homes: Sequence[str], log: Path) -> None:
        self._homes = homes
        self._log = log
        self.ports: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<Switchboard of {len(self._homes)} nodes>"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", _RELAY, *self._homes],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.ports = tuple(self._hear()["ports"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()

    @property
    def pid(self) -> int:
        """The process that all connections of the nodes end at."""
        return self._process.pid

    def address(self, number: int) -> str:
        """The multiaddr that node ``number`` is to announce."""
        return f"/ip4/127.0.0.1/tcp/{self.ports[number - 1]}"

    def count(self) -> Traffic:
        """How things stand."""
        return self._order("count")

    def cut(self, halves: Sequence[Sequence[int]]) -> Traffic:
        """Let nothing pass between the halves any more; the last count before."""
        return self._order("cut", halves)

    def heal(self) -> Traffic:
        """Let everything pass again, also what waited; the last count before."""
        return self._order("heal")

    def _order(self, *words: object) -> Traffic:
        line = json.dumps(words).encode() + b"\n"
        if self._process.stdin is not None:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        told = self._hear()
        return Traffic(
            carried={(came, went): size for came, went, size in told["carried"]},
            standing=tuple((caller, callee) for caller, callee in told["standing"]),
            strangers=told["strangers"],
            hung=told["hung"],
        )

    def _hear(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise NodeError("The relay of the testnet has ended.", f"See {self._log}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def is_across(pair: Pair, halves: Sequence[Collection[int]]) -> bool:
    """Whether two nodes are in different halves."""
    return any((pair[0] in half) != (pair[1] in half) for half in halves)


def ways_around(pids: Collection[int], relay: int) -> list[str]:
    """Sockets over which one of these processes reaches anything but the relay.

    What is seen only once in two looks was just being opened or closed.
    """
    seen = _strays(pids, relay)
    return sorted(seen & _strays(pids, relay)) if seen else []


def _strays(pids: Collection[int], relay: int) -> set[str]:
    mine = {inode for pid in pids for inode in inodes_of(pid)}
    relays = inodes_of(relay)
    sockets = tcp_sockets()
    doors = {each.local for each in sockets if each.inode in relays}
    found = {f"udp {_text(each.local)}" for each in udp_sockets() if each.inode in mine}
    for each in [each for each in sockets if each.inode in mine]:
        if each.state == ESTABLISHED and each.remote not in doors:
            found.add(f"tcp {_text(each.local)} to {_text(each.remote)}")
        if each.state == LISTENING and not _is_near(each.local):
            found.add(f"tcp {_text(each.local)} listens beyond this machine")
    return found


def _text(end: tuple[str, int]) -> str:
    return f"{end[0]}:{end[1]}"


def _is_near(end: tuple[str, int]) -> bool:
    return int(end[0], 16) == int.from_bytes((127, 0, 0, 1), sys.byteorder)
