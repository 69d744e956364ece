"""Yamux: many streams over one connection, with flow control that is enforced.

Speaks /yamux/1.0.0. A peer that sends beyond a window, more than its share of unread
bytes, or frames that make no sense loses the connection; one that sends small frames
without end is slowed down. The reading side never waits for a write, so two slow
peers cannot lock each other up. This file knows no peer ids and no protocols.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from nestmate.network.libp2p.guard import Bucket
from nestmate.network.libp2p.wire import GoneError
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.limits import STREAMS_PER_PEER_MAX

PROTOCOL: Final = "/yamux/1.0.0"
WINDOW_BYTES: Final = 256 * 1024
UNREAD_BYTES_MAX: Final = 2 * 1024 * 1024
FRAMES_PER_SECOND: Final = 2_000
FRAMES_BURST: Final = 4_000
OPENINGS_PER_SECOND: Final = 50
OPENINGS_BURST: Final = 200
PINGS_PER_SECOND: Final = 10
PINGS_BURST: Final = 100

_DATA, _UPDATE, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8
_HEADER: Final = struct.Struct("!BBHII")
_CHUNK_BYTES: Final = 16 * 1024
_UPDATE_BYTES: Final = WINDOW_BYTES // 4
_NOTES_MAX: Final = 1_024
_REFUSED_MAX: Final = 64
_SEND_WINDOW_MAX: Final = 1 << 31


class Channel(Protocol):
    """A secured connection: whole messages in, bytes out."""

    async def receive(self) -> bytes:
        """Some decrypted bytes; GoneError at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Encrypt and write, by one task at a time; survives being cancelled."""
        ...

    def close(self) -> None:
        """Close the socket; whoever waits for it wakes with GoneError."""
        ...


class Stream:
    """One ordered channel of bytes inside a connection."""

    def __init__(self, muxer: "Muxer", number: int) -> None:
        self.number = number
        self.was_reset = False
        self.ended = False  # the other side will send no more
        self.finished = False  # we shall send no more
        self.send_window = WINDOW_BYTES
        self.receive_window = WINDOW_BYTES
        self._muxer = muxer
        self._unread = bytearray()
        self._consumed = 0
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Stream {self.number}, {len(self._unread)} unread>"

    @property
    def unread_bytes(self) -> int:
        """How much has come in and waits to be read."""
        return len(self._unread)

    async def receive_some(self, bytes_max: int) -> bytes:
        """At least one byte; b"" once the other side has finished."""
        await trio.lowlevel.checkpoint()
        while not self._unread:
            if self.was_reset:
                raise GoneError("reset")
            if self.ended:
                return b""
            await self._news.wait()
        data = bytes(self._unread[:bytes_max])
        del self._unread[:bytes_max]
        self._muxer.unread_bytes -= len(data)
        self._give_back(len(data))
        return data

    async def receive_exactly(self, count: int) -> bytes:
        """So many bytes; GoneError if they never come."""
        parts = []
        while count:
            part = await self.receive_some(count)
            if not part:
                raise GoneError("ended")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    async def send_all(self, data: bytes) -> None:
        """Hand all bytes over as the other side's window allows."""
        view = memoryview(data)
        while view:
            if self.was_reset or self.finished:
                raise GoneError("closed")
            if self.send_window <= 0:
                await self._news.wait()
                continue
            size = min(len(view), self.send_window, _CHUNK_BYTES)
            self.send_window -= size
            header = _HEADER.pack(0, _DATA, 0, self.number, size)
            await self._muxer.write(header + bytes(view[:size]))
            view = view[size:]

    def finish(self) -> None:
        """Say that no more will be sent; reading goes on."""
        if not self.finished and not self.was_reset:
            self.finished = True
            self._muxer.note(_HEADER.pack(0, _UPDATE, _FIN, self.number, 0))
            self._muxer.settle(self)

    def reset(self) -> None:
        """Drop the stream at both ends."""
        if not self.was_reset and not (self.ended and self.finished):
            self._muxer.note(_HEADER.pack(0, _UPDATE, _RST, self.number, 0))
        self.break_off()

    def close(self) -> None:
        """Finish and forget; what still comes in is thrown away."""
        self.finish()
        self._muxer.forget(self)

    def take_in(self, data: memoryview) -> None:
        """Bytes from the other side."""
        self._unread += data
        self._wake()

    def take_credit(self, count: int) -> None:
        """The other side can take so many bytes more."""
        if self.send_window + count > _SEND_WINDOW_MAX:
            raise RemoteError(Fault.TOO_LARGE, "window")
        self.send_window += count
        self._wake()

    def take_flags(self, flags: int) -> None:
        """The other side finished or dropped the stream."""
        if flags & _RST:
            self.break_off()
        elif flags & _FIN:
            self.ended = True
            self._wake()
            self._muxer.settle(self)

    def break_off(self) -> None:
        """Nothing can come or go any more."""
        self.was_reset = True
        self._muxer.forget(self)
        self._wake()

    def drop_unread(self) -> None:
        """Throw away what nobody will read."""
        self._unread.clear()

    def _give_back(self, count: int) -> None:
        self._consumed += count
        if self._consumed >= _UPDATE_BYTES and not self.ended and not self.was_reset:
            credit, self._consumed = self._consumed, 0
            self.receive_window += credit
            self._muxer.note(_HEADER.pack(0, _UPDATE, 0, self.number, credit))

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Muxer:
    """The streams of one connection; ``welcome`` runs once per stream that comes in."""

    def __init__(
        self,
        channel: Channel,
        *,
        dialler: bool,
        welcome: Callable[[Stream], Awaitable[None]],
    ) -> None:
        self.unread_bytes = 0
        self.closed = trio.Event()
        self._channel = channel
        self._welcome = welcome
        self._streams: dict[int, Stream] = {}
        self._next_number = 1 if dialler else 2
        self._refused = 0
        self._rest = b""
        self._body: tuple[Stream | None, int, int] = (None, 0, 0)  # to, left, flags
        self._throw_away = 0
        self._notes: list[bytes] = []
        self._noted = trio.Event()
        self._lock = trio.Lock()
        self._pings: dict[int, trio.Event] = {}
        self._next_ping = 1
        self._frames = Bucket(FRAMES_PER_SECOND, FRAMES_BURST)
        self._openings = Bucket(OPENINGS_PER_SECOND, OPENINGS_BURST)
        self._pings_in = Bucket(PINGS_PER_SECOND, PINGS_BURST)

    def __repr__(self) -> str:
        return f"<Muxer {len(self._streams)} streams>"

    async def run(self) -> None:
        """Work until the connection ends; RemoteError says what the peer did wrong."""
        fault: RemoteError | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write_notes)
                try:
                    await self._read_frames()
                except RemoteError as error:
                    fault = error
                except GoneError:
                    pass
                self.stop()
                nursery.cancel_scope.cancel()
        finally:
            self.stop()
        if fault is not None:
            raise fault

    def stop(self) -> None:
        """End the connection; everybody who waits for anything in it wakes up."""
        self.closed.set()
        self._channel.close()
        for stream in list(self._streams.values()):
            stream.break_off()
        for pong in self._pings.values():
            pong.set()

    async def open(self) -> Stream:
        """A new stream of ours."""
        number = self._next_number
        self._next_number += 2
        stream = Stream(self, number)
        try:
            await self.write(_HEADER.pack(0, _UPDATE, _SYN, number, 0), opens=stream)
        except BaseException:
            stream.reset()
            raise
        return stream

    async def ping(self) -> bool:
        """Whether the other side answered; wrap it in a time limit."""
        number = self._next_ping
        self._next_ping = number % 0xFFFFFFFF + 1
        pong = self._pings[number] = trio.Event()
        try:
            await self.write(_HEADER.pack(0, _PING, _SYN, 0, number))
            await pong.wait()
        finally:
            del self._pings[number]
        return not self.closed.is_set()

    async def write(self, frame: bytes, opens: Stream | None = None) -> None:
        """Write one frame, after the notes that wait already."""
        async with self._lock:
            if self.closed.is_set():
                raise GoneError("closed")
            if opens is not None:
                self._streams[opens.number] = opens
            notes, self._notes = b"".join(self._notes), []
            await self._channel.send(notes + frame)

    def note(self, frame: bytes) -> None:
        """Have a small frame written soon, without waiting for it."""
        if len(self._notes) >= _NOTES_MAX:
            self.stop()
            return
        self._notes.append(frame)
        self._noted.set()

    def settle(self, stream: Stream) -> None:
        """Drop a stream that has ended on both sides; unread bytes stay readable."""
        if stream.ended and stream.finished:
            self._streams.pop(stream.number, None)

    def forget(self, stream: Stream) -> None:
        """Nobody reads a stream any more; a window full may still be on its way."""
        if self._streams.pop(stream.number, None) and not stream.ended:
            self._throw_away += stream.receive_window
        self.unread_bytes -= stream.unread_bytes
        stream.drop_unread()

    async def _write_notes(self) -> None:
        try:
            while True:
                await self._noted.wait()
                self._noted = trio.Event()
                if self._notes:
                    await self.write(b"")
        except GoneError:
            self.stop()

    async def _read_frames(self) -> None:
        while True:
            data = self._rest + await self._channel.receive()
            await self._frames.pay()
            view = memoryview(data)
            while True:
                if self._body[1]:
                    view = self._take_body(view)
                if self._body[1] or len(view) < _HEADER.size:
                    break
                await self._frames.pay()
                await self._take_header(*_HEADER.unpack(view[: _HEADER.size]))
                view = view[_HEADER.size :]
            self._rest = bytes(view)

    def _take_body(self, view: memoryview) -> memoryview:
        stream, left, flags = self._body
        part, rest = view[:left], view[left:]
        if stream is not None and self._streams.get(stream.number) is stream:
            self.unread_bytes += len(part)
            if self.unread_bytes > UNREAD_BYTES_MAX:
                raise RemoteError(Fault.TOO_LARGE, "unread bytes")
            stream.take_in(part)
            if left == len(part):
                stream.take_flags(flags)
        self._body = (stream, left - len(part), flags)
        return rest

    async def _take_header(
        self, version: int, kind: int, flags: int, number: int, length: int
    ) -> None:
        if version != 0 or kind > _GO_AWAY:
            raise RemoteError(Fault.MALFORMED, "frame")
        if kind == _GO_AWAY:
            raise GoneError("went away")
        if kind == _PING:
            if flags & _SYN:
                if not self._pings_in.take():
                    raise RemoteError(Fault.TOO_LARGE, "pings")
                self.note(_HEADER.pack(0, _PING, _ACK, 0, length))
            elif length in self._pings:
                self._pings[length].set()
            return
        stream = self._streams.get(number)
        if flags & _SYN:
            if stream is not None or number == 0 or number % 2 == self._next_number % 2:
                raise RemoteError(Fault.MALFORMED, "stream number")
            await self._openings.pay()
            stream = self._accept(number)
        if kind == _DATA:
            self._expect_body(stream, flags, length)
        elif stream is not None:
            stream.take_credit(length)
            stream.take_flags(flags)

    def _expect_body(self, stream: Stream | None, flags: int, length: int) -> None:
        if stream is None:
            self._throw_away -= length
            if self._throw_away < 0:
                raise RemoteError(Fault.TOO_LARGE, "bytes for no stream")
        else:
            stream.receive_window -= length
            if stream.receive_window < 0 or stream.ended:
                raise RemoteError(Fault.TOO_LARGE, "window")
            if not length:
                stream.take_flags(flags)
        self._body = (stream, length, flags)

    def _accept(self, number: int) -> Stream | None:
        parity = number % 2
        theirs = sum(each % 2 == parity for each in self._streams)
        if theirs >= STREAMS_PER_PEER_MAX:
            self._refused += 1
            if self._refused > _REFUSED_MAX:
                raise RemoteError(Fault.TOO_LARGE, "streams")
            self._throw_away += WINDOW_BYTES
            self.note(_HEADER.pack(0, _UPDATE, _RST, number, 0))
            return None
        stream = self._streams[number] = Stream(self, number)
        self.note(_HEADER.pack(0, _UPDATE, _ACK, number, 0))
        self._nursery.start_soon(self._welcome, stream)
        return stream
