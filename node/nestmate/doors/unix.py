"""Unix sockets that only this user may talk through.

The socket file is closed to others before anyone can connect, and the kernel is asked
who connects. When a door shuts, talks under way get a moment to end; then they are
cut, because a peer that does not read must not keep a node from stopping. This file
does not know what is said.
"""

import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import trio

from nestmate.errors import BusyError, NodeError

_log = logging.getLogger("nestmate.doors")
_UCRED = struct.Struct("3i")  # pid, uid, gid; see unix(7)
_BACKLOG = 128
TALKS_MAX = 256


class Starting(Protocol):
    """Whom to tell that the door is open; what ``nursery.start`` passes in."""

    def started(self) -> None:
        """It is open."""
        ...


Talk = Callable[[trio.SocketStream, int], Awaitable[None]]


def own_users() -> frozenset[int]:
    """Who may talk to this node: the user it runs as, and root."""
    return frozenset({os.geteuid(), 0})


async def serve_unix(
    path: Path,
    talk: Talk,
    *,
    users: frozenset[int] | None = None,
    grace_seconds: float = 1.0,
    on_closing: Callable[[], Awaitable[None]] | None = None,
    task_status: Starting = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hand every connection of an allowed user to ``talk(stream, uid)``.

    ``talk`` may raise what it wants; it costs its own connection only. When cancelled,
    ``on_closing`` is called, and talks may go on for ``grace_seconds``. Raises
    BusyError if somebody else answers on the socket.
    """
    door = _Door(path, talk, own_users() if users is None else users)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(_listen(path)))
    task_status.started()
    async with trio.open_nursery() as nursery:
        try:
            await trio.serve_listeners(door.admit, [listener], handler_nursery=nursery)
        finally:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - takes microseconds
            with trio.CancelScope(shield=True):
                if on_closing is not None:
                    await on_closing()
                await door.close(grace_seconds)


class _Door:
    """The talks going on through one socket."""

    def __init__(self, path: Path, talk: Talk, users: frozenset[int]) -> None:
        self._path = path
        self._talk = talk
        self._users = users
        self._open: dict[trio.SocketStream, trio.CancelScope] = {}
        self._empty = trio.Event()

    def __repr__(self) -> str:
        return f"<_Door {self._path.name}, {len(self._open)} talks>"

    async def admit(self, stream: trio.SocketStream) -> None:
        uid = peer_uid(stream)
        if uid not in self._users:
            _log.warning("refused uid=%d at=%s", uid, self._path.name)
            stream.socket.close()
            return
        if len(self._open) >= TALKS_MAX:
            stream.socket.close()
            return
        with trio.CancelScope(shield=True) as scope:
            self._open[stream] = scope
            try:
                await self._talk(stream, uid)
            except Exception:  # noqa: BLE001 - a talk costs its own connection only
                _log.exception("a talk through %s broke", self._path.name)
            finally:
                del self._open[stream]
                stream.socket.close()
                if not self._open:
                    self._empty.set()

    async def close(self, grace_seconds: float) -> None:
        with trio.move_on_after(grace_seconds):
            while self._open:
                self._empty = trio.Event()
                await self._empty.wait()
        for stream, scope in self._open.items():
            scope.cancel()
            stream.socket.close()  # ends a send that is shielded from cancellation


def peer_uid(stream: trio.SocketStream) -> int:
    """The user at the other end, as the kernel says.

    Where the kernel cannot be asked, the socket's mode alone has kept others out.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return os.geteuid()
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)
    uid: int = _UCRED.unpack(raw)[1]
    return uid


def _listen(path: Path) -> socket.socket:
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(os.fspath(path))
        path.chmod(0o600)  # nobody can connect before the next line
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise NodeError(
            f"The socket {path} cannot be opened: {error.strerror}.",
            "See that the folder exists, is yours, and has a short path.",
        ) from error
    return sock


def _clear(path: Path) -> None:
    """Remove what a node that did not end in order has left behind."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise BusyError(f"{path} is not a socket.", "Move it out of the way.")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise BusyError(
                f"Another node answers at {path}.", "Stop it with `nestmate down`."
            )
