"""Secured connections: a TCP socket, Noise on top of it, Yamux agreed inside.

The handshake is py-libp2p's; what goes in and out afterwards is framed and encrypted
here, because a connection must survive a cancelled write and must never hold more
than one message of 64 KiB. Only Noise is offered: there is no plaintext fallback.
This file knows no limits but the time a handshake may take.
"""

import socket
from typing import Any, Final, Self

import trio

from nestmate.network.libp2p import yamux
from nestmate.network.libp2p.addresses import peer_octets, read_peer
from nestmate.network.libp2p.borrowed import (
    ID,
    ConnectionType,
    IRawConnection,
    KeyPair,
    Noise,
    create_new_key_pair,
    create_new_noise_key_pair,
)
from nestmate.network.libp2p.wire import GoneError, agree, propose
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import HANDSHAKE_SECONDS_MAX

_NOISE: Final = "/noise"
_READ_BYTES: Final = 64 * 1024
_LENGTH_BYTES: Final = 2
_PLAINTEXT_BYTES_MAX: Final = 65_535 - 16


class Socket(IRawConnection):
    """A TCP socket with a read buffer; what the Noise handshake talks to."""

    def __init__(self, stream: trio.SocketStream, *, dialler: bool) -> None:
        self.is_initiator = dialler
        self._stream = stream
        self._unread = bytearray()
        self._unsent = bytearray()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __repr__(self) -> str:
        return f"<Socket {self.remote}>"

    @property
    def remote(self) -> tuple[str, int]:
        """The other end's IP address and port; GoneError if it has left already."""
        try:
            host, port = self._stream.socket.getpeername()[:2]
        except OSError:
            raise GoneError("left before it was asked for its name") from None
        return host, port

    async def receive_exactly(self, count: int) -> bytes:
        """So many bytes; reads ahead, but never more than one buffer."""
        while len(self._unread) < count:
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise GoneError("broken") from None
            if not data:
                raise GoneError("closed")
            self._unread += data
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def send_all(self, data: bytes) -> None:
        """Write everything; what a cancelled write left over goes out with the next."""
        self._unsent += data
        try:
            while self._unsent:
                sent = await self._stream.socket.send(self._unsent[:_READ_BYTES])
                del self._unsent[:sent]
        except OSError:
            raise GoneError("broken") from None

    def close_now(self) -> None:
        """Close without ceremony; whoever waits for the socket wakes."""
        self._stream.socket.close()

    async def read(self, n: int | None = None) -> bytes:
        """The library's name for ``receive_exactly``; it always says how many."""
        return await self.receive_exactly(n or 0)

    async def write(self, data: bytes) -> None:
        """The library's name for ``send_all``."""
        await self.send_all(data)

    async def close(self) -> None:
        """The library's name for ``close_now``."""
        await trio.lowlevel.checkpoint()
        self.close_now()

    def get_remote_address(self) -> tuple[str, int] | None:
        """The library may ask for this in its own messages."""
        return None

    def get_transport_addresses(self) -> list[Any]:
        """Never asked for by the handshake."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """Never asked for by the handshake."""
        return ConnectionType.DIRECT


class SecureChannel:
    """An encrypted connection with somebody who has proved to be ``peer``."""

    def __init__(self, raw: Socket, peer: PeerId, noise: Any) -> None:
        self.peer = peer
        self._raw = raw
        self._noise = noise
        self._unread = b""

    def __repr__(self) -> str:
        return f"<SecureChannel with {self.peer.short}>"

    async def receive(self) -> bytes:
        """The next decrypted message, maybe empty; RemoteError if it was forged."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        size = int.from_bytes(await self._raw.receive_exactly(_LENGTH_BYTES))
        sealed = await self._raw.receive_exactly(size)
        try:
            return bytes(self._noise.decrypt(sealed))
        except Exception:  # noqa: BLE001 - whatever a cipher raises, the bytes are bad
            raise RemoteError(Fault.MALFORMED, "noise") from None

    async def send(self, data: bytes) -> None:
        """Encrypt and write; a message is either never begun or always finished."""
        sealed = bytearray()
        for start in range(0, len(data), _PLAINTEXT_BYTES_MAX):
            part = self._noise.encrypt(data[start : start + _PLAINTEXT_BYTES_MAX])
            sealed += len(part).to_bytes(_LENGTH_BYTES) + part
        await self._raw.send_all(bytes(sealed))

    def close(self) -> None:
        """Close the socket."""
        self._raw.close_now()

    async def receive_exactly(self, count: int) -> bytes:
        """So many bytes, for the negotiation before there are streams."""
        while len(self._unread) < count:
            self._unread += await self.receive()
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    async def send_all(self, data: bytes) -> None:
        """As ``send``, for the negotiation."""
        await self.send(data)


class Doorkeeper:
    """Who we are in handshakes; turns sockets into secured connections."""

    def __init__(self, host_seed: bytes) -> None:
        self._keys: KeyPair = create_new_key_pair(host_seed)
        self._noise = Noise(self._keys, create_new_noise_key_pair().private_key)
        self.peer = read_peer(ID.from_pubkey(self._keys.public_key).to_bytes())
        self.public_key: bytes = self._keys.public_key.serialize()

    def __repr__(self) -> str:
        return f"<Doorkeeper of {self.peer.short}>"

    async def let_in(self, stream: trio.SocketStream) -> SecureChannel:
        """Shake hands with somebody who came in.

        Raises GoneError or RemoteError, and closes the socket then.
        """
        return await self._shake(Socket(stream, dialler=False), None)

    async def call_on(self, stream: trio.SocketStream, peer: PeerId) -> SecureChannel:
        """Shake hands with somebody we dialled; it must be ``peer``.

        Raises GoneError or RemoteError, and closes the socket then.
        """
        return await self._shake(Socket(stream, dialler=True), peer)

    async def _shake(self, raw: Socket, wanted: PeerId | None) -> SecureChannel:
        try:
            with trio.fail_after(HANDSHAKE_SECONDS_MAX):
                return await self._upgrade(raw, wanted)
        except trio.TooSlowError:
            raw.close_now()
            raise GoneError("handshake took too long") from None
        except BaseException:
            raw.close_now()
            raise

    async def _upgrade(self, raw: Socket, wanted: PeerId | None) -> SecureChannel:
        if wanted is None:
            await agree(raw, (_NOISE,))
        else:
            await propose(raw, (_NOISE,))
        try:
            if wanted is None:
                session = await self._noise.secure_inbound(raw)
            else:
                session = await self._noise.secure_outbound(
                    raw, ID(peer_octets(wanted))
                )
        except GoneError:
            raise
        except Exception as error:  # noqa: BLE001 - a handshake may fail in any way it likes
            raise RemoteError(Fault.BAD_SIGNATURE, type(error).__name__) from None
        peer = read_peer(session.get_remote_peer().to_bytes())
        noise = _cipher_of(session)
        channel = SecureChannel(raw, peer, noise)
        if wanted is None:
            await agree(channel, (yamux.PROTOCOL,))
        else:
            await propose(channel, (yamux.PROTOCOL,))
        return channel


def _cipher_of(session: Any) -> Any:
    """The two ciphers of a finished handshake, from where the library keeps them."""
    return session.conn.noise_state


class Listener:
    """A listening socket and the place it is at."""

    def __init__(self, sockets: trio.SocketListener) -> None:
        self._sockets = sockets

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Listen at an IP address; port 0 takes any. Raises OSError."""
        [sockets] = await trio.open_tcp_listeners(port, host=host)
        return cls(sockets)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._sockets.socket.getsockname()[1]
        return port

    async def accept(self) -> trio.SocketStream:
        """The next connection; OSError if the system has no room for it."""
        return await self._sockets.accept()

    def close(self) -> None:
        """Stop listening."""
        self._sockets.socket.close()
