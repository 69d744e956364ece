"""One host's connection as MCP's library wants it: a stream to read and one to write.

Messages are lines of JSON. A host that is slow to read holds up itself only, one that
asks for too much at once is told so, and one that has said all it has to say, but
still reads, gets its answers. This file knows no tool and no node.
"""

import select
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import mcp_types as wire
import trio
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from pydantic import ValidationError

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
REQUESTS_OPEN_MAX: Final = 64
HANG_UP_LOOK_SECONDS: Final = 1.0
TOO_MUCH: Final = -32_000  # of the range JSON-RPC leaves to servers
_ENDLESS: Final = "subscriptions/listen"  # is answered when it ends, which may be never


class Wire:
    """What a host says and is told: ``hearing`` and ``speaking`` are its streams."""

    def __init__(self, stream: trio.SocketStream, rest: bytes) -> None:
        self.hearing = Hearing(self)
        self.speaking = Speaking(self)
        self._stream = stream
        self._lines = _Lines(stream, rest)
        self._open: dict[wire.RequestId, str] = {}
        self._settled = trio.Event()
        self._to_say, self._said = trio.open_memory_channel[bytes](0)

    def __repr__(self) -> str:
        return f"<Wire {len(self._open)} requests open>"

    async def write_out(self) -> None:
        """Write what is said until there is no more, or nobody to hear it.

        One task does this, so that an answer nobody wants any more is never cut off
        in the middle of its line.
        """
        async with self._said:
            async for line in self._said:
                await self._stream.send_all(line)

    async def next_message(self) -> SessionMessage | None:
        """What the host says next; None when it has said all and heard the answers."""
        while (line := await self._lines.next()) is not None:
            if not line:
                sentence = f"A message has at most {LINE_BYTES_MAX} bytes."
                await self._refuse(None, wire.INVALID_REQUEST, sentence)
                continue
            try:
                message = wire.jsonrpc_message_adapter.validate_json(
                    line, by_name=False
                )
            except ValidationError:
                await self._refuse(None, wire.PARSE_ERROR, "This is not JSON-RPC.")
                continue
            if not isinstance(message, wire.JSONRPCRequest):
                return SessionMessage(message)
            if len(self._open) < REQUESTS_OPEN_MAX:
                return self._opened(message)
            sentence = f"No more than {REQUESTS_OPEN_MAX} requests at once."
            await self._refuse(message.id, TOO_MUCH, sentence)
        while self._owes_answers() and not self._has_hung_up():
            with trio.move_on_after(HANG_UP_LOOK_SECONDS):
                await self._settled.wait()
        return None

    async def say(self, item: SessionMessage) -> None:
        """Put one message on the wire, once those before it are gone."""
        message = item.message
        await self._queue(message)
        if isinstance(message, wire.JSONRPCResponse | wire.JSONRPCError):
            self._close(message.id)

    def say_no_more(self) -> None:
        """What was said still goes out."""
        self._to_say.close()

    def _opened(self, request: wire.JSONRPCRequest) -> SessionMessage:
        self._open[request.id] = request.method

        async def unanswered() -> None:
            self._close(request.id)

        return SessionMessage(
            request, ServerMessageMetadata(on_request_unanswered=unanswered)
        )

    def _close(self, number: wire.RequestId | None) -> None:
        if number is not None:
            self._open.pop(number, None)
        if not self._owes_answers():
            self._settled.set()
            self._settled = trio.Event()

    def _owes_answers(self) -> bool:
        return any(method != _ENDLESS for method in self._open.values())

    def _has_hung_up(self) -> bool:
        """Whether the host reads no longer either."""
        poll = select.poll()
        poll.register(self._stream.socket.fileno(), 0)
        return bool(poll.poll(0))

    async def _refuse(
        self, number: wire.RequestId | None, code: int, sentence: str
    ) -> None:
        error = wire.ErrorData(code=code, message=sentence)
        refusal = wire.JSONRPCError(jsonrpc="2.0", id=number, error=error)
        await self._queue(refusal)

    async def _queue(self, message: wire.JSONRPCMessage) -> None:
        """What comes after the last word, or when nobody listens, is dropped."""
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            await self._to_say.send(_line_of(message))


class Hearing:
    """The stream of what the host says, as the library reads it."""

    def __init__(self, wire_: Wire) -> None:
        self._wire = wire_

    async def receive(self) -> SessionMessage | Exception:
        """The next message; raises trio.EndOfChannel after the last."""
        message = await self._wire.next_message()
        if message is None:
            raise trio.EndOfChannel
        return message

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        message = await self._wire.next_message()
        if message is None:
            raise StopAsyncIteration
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Speaking:
    """The stream of what the host is told, as the library writes it."""

    def __init__(self, wire_: Wire) -> None:
        self._wire = wire_

    async def send(self, item: SessionMessage, /) -> None:
        """Say one message."""
        await self._wire.say(item)

    async def aclose(self) -> None:
        """Say no more."""
        self._wire.say_no_more()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _line_of(message: wire.JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


class _Lines:
    """Lines that say something; the last one need not end."""

    def __init__(self, stream: trio.SocketStream, rest: bytes) -> None:
        self._stream = stream
        self._buffer = bytearray(rest)

    async def next(self) -> bytes | None:
        """The next line, empty for one that is too long; None after the last."""
        buffer, looked, too_long = self._buffer, 0, False
        while True:
            end = buffer.find(b"\n", looked)
            if end >= 0:
                line, looked = bytes(buffer[:end]), 0
                del buffer[: end + 1]
                if too_long or line.strip():
                    return b"" if too_long else line
                continue
            if len(buffer) > LINE_BYTES_MAX:
                buffer.clear()
                too_long = True
            looked = len(buffer)
            chunk = await self._more()
            if not chunk:
                line = bytes(buffer).strip()
                buffer.clear()
                return line or None
            buffer += chunk

    async def _more(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some())
        except trio.BrokenResourceError:
            return b""
