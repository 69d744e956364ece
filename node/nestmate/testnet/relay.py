"""The relay: a process that every connection between nodes of a trial goes through.

Each node has a port here, which it announces as its own; whoever connects to it is
carried on to where the node really listens. Which node is calling is found by asking
the kernel whose socket is at the other end. While the net is cut, not a byte and not
the end of a connection goes from one half to the other, and new connections hang; what
waited goes on afterwards. Orders come in on standard input, one JSON list a line, and
each is answered so on standard output; with the end of input the relay ends. It knows
nothing of what the bytes mean.
"""

import json
import os
import resource
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nestmate.home import Home
from nestmate.testnet.sockets import LISTENING, inodes_of, tcp4_sockets

CHUNK_BYTES: Final = 65_536
BACKLOG: Final = 128
SWEEP_SECONDS: Final = 1.0
FILES_WANTED: Final = 8_192
_HOST: Final = "127.0.0.1"
_STDIN, _STDOUT = 0, 1
_GIVEN_UP: Final = 8  # TCP_CLOSE_WAIT, the first byte of TCP_INFO
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@dataclass(slots=True, eq=False)
class Leg:
    """One of the two sockets of a call; ``unsent`` waits to be written to it."""

    call: "Call"
    sock: socket.socket
    unsent: bytes = b""
    ended: bool = False
    shut: bool = False
    watched: int = 0


@dataclass(slots=True, eq=False)
class Call:
    """A connection from one node to another; not ``answered`` while it hangs."""

    caller: int
    callee: int
    near: Leg = field(init=False)
    far: Leg | None = None
    sound: bool = True

    def other(self, leg: Leg) -> Leg | None:
        """The leg at the opposite end."""
        return self.far if leg is self.near else self.near

    def ends(self, leg: Leg) -> tuple[int, int]:
        """From and to whom go bytes that are read from this leg."""
        pair = (self.caller, self.callee)
        return pair if leg is self.near else pair[::-1]


class Relay:
    """All ports and calls; nodes are numbered from 1 in the order of their homes."""

    def __init__(self, homes: Sequence[str]) -> None:
        self._pids = [Home(Path(home)).pid_file for home in homes]
        self._half: dict[int, int] = {}
        self._arrivals: list[tuple[socket.socket, int]] = []
        self._ports: dict[int, int] = {}
        self._calls: dict[Call, None] = {}
        self._carried: Counter[tuple[int, int]] = Counter()
        self._strangers = 0
        self._hung = 0
        self._sweep = 0.0
        self._orders = b""
        self._selector = selectors.DefaultSelector()
        self._listeners = [self._listen(number) for number in range(1, len(homes) + 1)]
        os.set_blocking(_STDIN, False)
        self._selector.register(_STDIN, _READ, None)

    def __repr__(self) -> str:
        return f"<Relay of {len(self._pids)} nodes, {len(self._calls)} calls>"

    def run(self) -> None:
        """Carry bytes and obey until the input ends."""
        _say({"ports": [each.getsockname()[1] for each in self._listeners]})
        while True:
            for key, happened in self._selector.select(SWEEP_SECONDS):
                if isinstance(key.data, Leg):
                    self._move(key.data, happened)
                elif isinstance(key.data, int):
                    self._accept(self._listeners[key.data - 1], key.data)
                elif not self._read_orders():
                    return
            self._admit()
            self._forget_hung()

    def _listen(self, number: int) -> socket.socket:
        listener = socket.create_server((_HOST, 0), backlog=BACKLOG)
        listener.setblocking(False)
        self._selector.register(listener, _READ, number)
        return listener

    # --- orders ---

    def _read_orders(self) -> bool:
        data = os.read(_STDIN, CHUNK_BYTES)
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            _say(self._obey(*json.loads(line)))
        return bool(data)

    def _obey(self, order: str, halves: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
        """``cut`` into halves, ``heal``, or nothing; the answer is how things stand."""
        if order in {"cut", "heal"}:
            self._half = {n: at for at, half in enumerate(halves) for n in half}
            for call in list(self._calls):
                self._resume(call)
        return {
            "carried": [[*pair, size] for pair, size in sorted(self._carried.items())],
            "standing": [
                [call.caller, call.callee]
                for call in self._calls
                if call.far is not None
            ],
            "strangers": self._strangers,
            "hung": self._hung,
        }

    def _is_cut(self, call: Call) -> bool:
        return self._half.get(call.caller) != self._half.get(call.callee)

    # --- calls ---

    def _accept(self, listener: socket.socket, callee: int) -> None:
        with suppress(OSError):  # no more wait, or no file is left for one
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._arrivals.append((sock, callee))

    def _admit(self) -> None:
        """Find out who has come, all at one look, and begin their calls."""
        arrivals, self._arrivals = self._arrivals, []
        if not arrivals:
            return
        ends = {(s.local[1], s.remote[1]): s.inode for s in tcp4_sockets()}
        numbers = range(1, len(self._pids) + 1)
        owners = {inode: n for n in numbers for inode in inodes_of(self._pid(n))}
        for sock, callee in arrivals:
            try:
                inode = ends.get((sock.getpeername()[1], sock.getsockname()[1]), 0)
            except OSError:
                inode = 0
            if inode not in owners:
                self._strangers += inode > 0  # without one it has hung up already
                sock.close()
                continue
            call = Call(owners[inode], callee)
            call.near = Leg(call, sock)
            self._calls[call] = None
            self._hung += self._is_cut(call)
            self._resume(call)

    def _resume(self, call: Call) -> None:
        """Carry a call on, or hold it still, as the cut says now."""
        if call.far is None and not self._is_cut(call):
            self._connect(call)
        for leg in (call.near, call.far):
            if leg is not None:
                self._watch(leg)

    def _connect(self, call: Call) -> None:
        port = self._port_of(call.callee)
        if port is None:
            self._close(call)
            return
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex((_HOST, port))
        call.far = Leg(call, sock)

    def _move(self, leg: Leg, happened: int) -> None:
        call = leg.call
        if not call.sound or self._is_cut(call):  # since this event was gathered
            return
        try:
            if happened & _WRITE:
                self._flush(leg)
            if happened & _READ and call.sound:
                self._read(leg)
        except BlockingIOError:
            pass
        except OSError:
            self._close(call)
        for each in (call.near, call.far):
            if each is not None:
                self._watch(each)

    def _read(self, leg: Leg) -> None:
        other = leg.call.other(leg)
        if other is None:
            return
        data = leg.sock.recv(CHUNK_BYTES)
        leg.ended = not data
        self._carried[leg.call.ends(leg)] += len(data)
        other.unsent += data
        self._flush(other)

    def _flush(self, leg: Leg) -> None:
        """Write what can be; pass the end on once all before it is out."""
        call, other = leg.call, leg.call.other(leg)
        if leg.unsent:
            with suppress(BlockingIOError):
                leg.unsent = leg.unsent[leg.sock.send(leg.unsent) :]
        if other is not None and other.ended and not leg.unsent and not leg.shut:
            leg.shut = True
            leg.sock.shutdown(socket.SHUT_WR)
        if leg.shut and other is not None and other.shut:
            self._close(call)

    def _watch(self, leg: Leg) -> None:
        """Listen to what may happen to a leg now, and to nothing while it is cut."""
        call, other = leg.call, leg.call.other(leg)
        wanted = 0
        if call.sound and other is not None and not self._is_cut(call):
            wanted |= 0 if leg.ended or other.unsent else _READ
            wanted |= _WRITE if leg.unsent else 0
        if wanted == leg.watched:
            return
        if not leg.watched:
            self._selector.register(leg.sock, wanted, leg)
        elif not wanted:
            self._selector.unregister(leg.sock)
        else:
            self._selector.modify(leg.sock, wanted, leg)
        leg.watched = wanted

    def _close(self, call: Call) -> None:
        call.sound = False
        self._calls.pop(call, None)
        for leg in (call.near, call.far):
            if leg is not None:
                self._watch(leg)
                leg.sock.close()

    def _forget_hung(self) -> None:
        """Let go of calls that hang and whose callers have given up meanwhile."""
        if time.monotonic() < self._sweep:
            return
        self._sweep = time.monotonic() + SWEEP_SECONDS
        for call in [each for each in self._calls if each.far is None]:
            info = call.near.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            if info[0] == _GIVEN_UP:
                self._close(call)

    # --- whose socket ---

    def _port_of(self, number: int) -> int | None:
        """Where a node listens; None if it does not run."""
        pid = self._pid(number)
        inodes = inodes_of(pid)
        if inodes and pid not in self._ports:
            for each in tcp4_sockets():
                if each.state == LISTENING and each.inode in inodes:
                    self._ports[pid] = each.local[1]
        return self._ports.get(pid) if inodes else None

    def _pid(self, number: int) -> int:
        try:
            return int(self._pids[number - 1].read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0  # no process has this id


def _say(answer: dict[str, Any]) -> None:
    """Whoever gives orders reads the answers, so this never waits long."""
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(_STDOUT, data) :]


def main() -> None:
    """Run the relay for the homes named on the command line."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    Relay(sys.argv[1:]).run()


if __name__ == "__main__":
    main()
