"""Multiaddrs: where a node listens or is dialled, as text and as bytes.

Only TCP over an IP address or a DNS name is spoken here, with or without a peer id
behind it; anything else is nobody's address to us. Bytes and texts from others are
judged here and never raise anything but RemoteError. This file opens no socket.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import ifaddr

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import PeerId
from nestmate_protocol.limits import HOST_ADDRESSES_MAX, MULTIADDR_CHARS_MAX

PEER_ID_PREFIX: Final = bytes.fromhex("002408011220")

_TEXT: Final = re.compile(
    r"/(?P<kind>ip4|ip6|dns|dns4|dns6)/(?P<host>[A-Za-z0-9_.:%-]{1,253})"
    r"/tcp/(?P<port>\d{1,5})(?:/p2p/(?P<peer>[A-Za-z0-9]{1,64}))?"
)
_CODES: Final = {"ip4": 4, "ip6": 41, "dns": 53, "dns4": 54, "dns6": 55}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}
_TCP: Final = bytes((6,))
_PORT_MAX: Final = 65_535
_IP_BYTES: Final = {4: 4, 41: 16}
_UNSPECIFIED: Final = {"ip4": "0.0.0.0", "ip6": "::"}  # noqa: S104 - to recognise it
_V6_GROUP_BITS: Final = 56


@dataclass(frozen=True, slots=True)
class Place:
    """One TCP address; ``kind`` is how the host is written."""

    kind: str
    host: str
    port: int

    @property
    def text(self) -> str:
        """The multiaddr, without ``/p2p``."""
        return f"/{self.kind}/{self.host}/tcp/{self.port}"

    @property
    def octets(self) -> bytes:
        """The binary multiaddr, without ``/p2p``."""
        port = _TCP + self.port.to_bytes(2)
        head = bytes((_CODES[self.kind],))
        if self.kind in ("ip4", "ip6"):
            return head + ipaddress.ip_address(self.host).packed + port
        name = self.host.encode()
        return head + bytes((len(name),)) + name + port

    @property
    def is_loopback(self) -> bool:
        """Whether it only ever leads back to the same machine."""
        if self.kind not in ("ip4", "ip6"):
            return False
        return ipaddress.ip_address(self.host).is_loopback


def parse_place(text: str) -> Place:
    """The place a multiaddr names; a peer id behind it is left to the caller.

    Raises RemoteError for anything that is not TCP over IP or DNS.
    """
    match = _TEXT.fullmatch(text) if len(text) <= MULTIADDR_CHARS_MAX else None
    if match is None or int(match["port"]) > _PORT_MAX:
        raise RemoteError(Fault.BAD_FIELD, "multiaddr")
    kind, host = match["kind"], match["host"]
    if kind in ("ip4", "ip6"):
        host = _checked_ip(kind, host)
    return Place(kind, host, int(match["port"]))


def _checked_ip(kind: str, host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise RemoteError(Fault.BAD_FIELD, "multiaddr") from None
    if address.version != (4 if kind == "ip4" else 6):
        raise RemoteError(Fault.BAD_FIELD, "multiaddr")
    return str(address)


def read_place(octets: bytes) -> Place:
    """The place a binary multiaddr names, with or without ``/p2p`` behind it.

    Raises RemoteError for anything that is not TCP over IP or DNS.
    """
    code = octets[0] if octets else 0
    kind = _KINDS.get(code)
    if kind is None:
        raise RemoteError(Fault.BAD_FIELD, "multiaddr")
    if code in _IP_BYTES:
        end = 1 + _IP_BYTES[code]
        packed = octets[1:end]
        if len(packed) != _IP_BYTES[code]:
            raise RemoteError(Fault.BAD_FIELD, "multiaddr")
        host = str(ipaddress.ip_address(packed))
    else:
        end = 2 + (octets[1] if len(octets) > 1 else 0)
        host = octets[2:end].decode("ascii", "replace")
    if octets[end : end + 1] != _TCP or len(octets) < end + 3:
        raise RemoteError(Fault.BAD_FIELD, "multiaddr")
    port = int.from_bytes(octets[end + 1 : end + 3])
    return parse_place(f"/{kind}/{host}/tcp/{port}")


def good_places(texts: Iterable[str]) -> tuple[Place, ...]:
    """Those texts that can be dialled, each once, at most HOST_ADDRESSES_MAX."""
    places: dict[Place, None] = {}
    for text in texts:
        try:
            place = parse_place(text)
        except RemoteError:
            continue
        if place.port and place.host != _UNSPECIFIED.get(place.kind):
            places[place] = None
    return tuple(places)[:HOST_ADDRESSES_MAX]


def known_places(many: Iterable[bytes]) -> tuple[Place, ...]:
    """Those binary multiaddrs that can be dialled, as ``good_places``."""
    texts = []
    for octets in many:
        try:
            texts.append(read_place(octets).text)
        except RemoteError:
            continue
    return good_places(texts)


def listen_place(text: str) -> Place:
    """A place to listen at, as the owner wrote it; raises LocalError."""
    try:
        place = parse_place(text)
    except RemoteError:
        raise LocalError(
            f"{text!r} is no address to listen at", "try /ip4/127.0.0.1/tcp/0"
        ) from None
    if place.kind not in ("ip4", "ip6"):
        raise LocalError(f"{text!r} is a name: listen at an IP address")
    return place


def reachable_places(place: Place) -> tuple[Place, ...]:
    """Where a listener is found: itself, or every interface if it takes them all."""
    if place.host != _UNSPECIFIED[place.kind]:
        return (place,)
    wanted = 4 if place.kind == "ip4" else 6
    hosts = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    good = [host for host in hosts if host.version == wanted and not host.is_link_local]
    good.sort(key=lambda host: (host.is_loopback, host.is_private, int(host)))
    texts = [f"/{place.kind}/{host}/tcp/{place.port}" for host in dict.fromkeys(good)]
    return good_places(texts)


def ip_group(host: str) -> str:
    """What counts as one address in limits and bans: an IPv4, or an IPv6 /56."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _V6_GROUP_BITS), strict=False))
    return str(address)


def is_loopback(group: str) -> bool:
    """Whether an ``ip_group`` is this machine itself."""
    return ipaddress.ip_network(group).network_address.is_loopback


def peer_octets(peer: PeerId) -> bytes:
    """A peer id as libp2p messages carry it."""
    return PEER_ID_PREFIX + peer.raw


def read_peer(octets: bytes) -> PeerId:
    """The Ed25519 peer id that some bytes are; RemoteError for any other kind."""
    if not octets.startswith(PEER_ID_PREFIX) or len(octets) != 38:  # noqa: PLR2004 - prefix and key
        raise RemoteError(Fault.BAD_FIELD, "peer id")
    return PeerId(octets[len(PEER_ID_PREFIX) :])
