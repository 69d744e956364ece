"""The one door to py-libp2p: which version, and the few names this house takes.

Taken are peer keys, the Noise handshake and the message definitions of the public
protocols; everything that holds state for strangers is ours, so that what one peer may
cost has a bound everywhere. The library's package loads every transport it has, 42 MB
of them, when any module of it is imported; that is passed by while nobody else in the
process has loaded it. Nothing of the library is changed but one public table: which
kinds of peer key exist.
"""

import importlib.machinery
import logging
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Final

from nestmate.errors import NodeError

TESTED_VERSION: Final = "0.8.1"

# Packages whose ``__init__`` does nothing but import transports not used here.
_SILENT: Final = (
    "libp2p",
    "libp2p.security",
    "libp2p.transport",
    "libp2p.transport.quic",
    "libp2p.pubsub",
    "libp2p.kad_dht",
    "libp2p.identity",
    "libp2p.identity.identify",
)


def _check_version() -> None:
    found = metadata.version("libp2p")
    if found != TESTED_VERSION:
        raise NodeError(
            f"libp2p {found} is installed; this version of nestmate was tested with"
            f" {TESTED_VERSION} only",
            f"install libp2p=={TESTED_VERSION}",
        )


def _pass_by_transports() -> None:
    """Let modules of the library be imported without running its packages."""
    spec = importlib.machinery.PathFinder.find_spec("libp2p")
    if "libp2p" in sys.modules or spec is None or not spec.submodule_search_locations:
        return
    root = Path(next(iter(spec.submodule_search_locations)))
    for name in _SILENT:
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    quic = ModuleType("libp2p.transport.quic.stream")
    quic.QUICStream = type("QUICStream", (), {})  # type: ignore[attr-defined]  # only ever named in a Union
    sys.modules[quic.__name__] = quic


_check_version()
_pass_by_transports()

from libp2p.abc import IRawConnection  # noqa: E402 - only after the bypass
from libp2p.connection_types import ConnectionType  # noqa: E402 - as above
from libp2p.crypto.ed25519 import create_new_key_pair  # noqa: E402 - as above
from libp2p.crypto.keys import KeyPair, KeyType  # noqa: E402 - as above
from libp2p.crypto.serialization import (  # noqa: E402 - as above
    key_type_to_public_key_deserializer,
)
from libp2p.crypto.x25519 import (  # noqa: E402 - as above
    create_new_key_pair as create_new_noise_key_pair,
)
from libp2p.identity.identify.pb.identify_pb2 import Identify  # noqa: E402 - as above
from libp2p.kad_dht.pb.kademlia_pb2 import Message as KadMessage  # noqa: E402 - as above
from libp2p.peer.id import ID  # noqa: E402 - as above
from libp2p.pubsub.pb.rpc_pb2 import RPC  # noqa: E402 - as above
from libp2p.pubsub.pb.rpc_pb2 import Message as GossipMessage  # noqa: E402 - as above
from libp2p.security.noise.io import NoiseTransportReadWriter  # noqa: E402 - as above
from libp2p.security.noise.transport import Transport as Noise  # noqa: E402 - as above

__all__ = [
    "ID",
    "RPC",
    "ConnectionType",
    "GossipMessage",
    "IRawConnection",
    "Identify",
    "KadMessage",
    "KeyPair",
    "Noise",
    "NoiseTransportReadWriter",
    "create_new_key_pair",
    "create_new_noise_key_pair",
]

# Our peer ids are Ed25519 keys, and the check of their signatures has a fixed cost: no
# other kind of key is read, in any handshake.
for _kind in sorted(set(key_type_to_public_key_deserializer)):
    if _kind != KeyType.Ed25519.value:
        del key_type_to_public_key_deserializer[_kind]

logging.getLogger("libp2p").setLevel(logging.CRITICAL)
