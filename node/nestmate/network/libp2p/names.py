"""Names: how protocols, keys and services are called in one network.

Whatever has a name of ours carries the first 16 hex digits of the network id, so that
nodes of two networks have no protocol of ours in common. This file knows strings only.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from nestmate_protocol.effects import Channel
from nestmate_protocol.ids import Address, NetworkId

MESHSUB: Final = "/meshsub/1.1.0"
_TAG_BYTES: Final = 8
_SHA2_256: Final = b"\x12\x20"  # code and length, as a multihash begins
_DIGITS: Final = re.compile(rb"[0-9a-f]{64}")


def provider_key(key: bytes) -> bytes:
    """What a provider record stands under: a multihash, or other libp2ps refuse it."""
    return _SHA2_256 + key


@dataclass(frozen=True)
class Names:
    """The names of one network."""

    network: NetworkId

    @cached_property
    def tag(self) -> str:
        """The first 16 hex digits of the network id."""
        return self.network.raw[:_TAG_BYTES].hex()

    @property
    def kad(self) -> str:
        """The protocol of the DHT."""
        return f"/nestmate/{self.tag}/kad/1.0.0"

    @property
    def protocol_version(self) -> str:
        """What identify calls the network."""
        return f"nestmate/{self.tag}/1"

    @property
    def mdns_service(self) -> str:
        """What nodes of this network look for on a LAN."""
        return f"_nm{self.tag[:12]}._udp.local."

    def channel(self, channel: Channel) -> str:
        """The protocol of one kind of direct stream."""
        return f"/nestmate/1/{self.tag}/{channel}"

    def presence_key(self, address: Address) -> bytes:
        """The DHT key of an address's presence record."""
        return f"/nestmate-{self.tag}/{address.raw.hex()}".encode()

    def address_of(self, key: bytes) -> Address | None:
        """The address whose presence a DHT key names, if it is such a key."""
        prefix = f"/nestmate-{self.tag}/".encode()
        digits = key[len(prefix) :]
        if not key.startswith(prefix) or not _DIGITS.fullmatch(digits):
            return None
        return Address(bytes.fromhex(digits.decode()))

    def is_ours(self, protocol: str) -> bool:
        """Whether only nodes of our network speak this protocol."""
        return protocol.startswith(
            (f"/nestmate/{self.tag}/", f"/nestmate/1/{self.tag}/")
        )
