"""A bare network in a process of its own: no core, no store, no doors.

It obeys JSON lines on standard input (``{"dial": [peer, multiaddrs]}``,
``{"publish": number}``) and tells on standard output what it does and hears, with
moments of the machine's monotonic clock in nanoseconds. It ends when its input ends,
so that it cannot outlive whoever started it.
"""

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import trio

from nestmate.network.base import NetworkInput, NetworkOptions
from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate_protocol.directory.topics import network_id, skill_topic
from nestmate_protocol.ids import PeerId
from nestmate_protocol.inputs import Heard, Listening, PeerUp
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, make_frame, sign_record

if TYPE_CHECKING:
    from nestmate_protocol.codec import Encodable

NETWORK: Final = network_id("bench")
TOPIC: Final = skill_topic(NETWORK, "bench")
BODY_BYTES: Final = 250  # makes a record as long as a signal with a short body
QUEUE_ITEMS: Final = 1_024


async def run() -> None:
    """Listen on loopback and obey until standard input ends."""
    key = SigningKey(os.urandom(32))
    network = Libp2pNetwork(NetworkOptions(host_seed=os.urandom(32), network=NETWORK))
    inbox, inputs = trio.open_memory_channel[NetworkInput](QUEUE_ITEMS)
    async with network.running(inbox), trio.open_nursery() as nursery:
        nursery.start_soon(_tell, network, inputs)
        await network.join(TOPIC)
        async for line in _lines():
            match json.loads(line):
                case {"dial": [peer, multiaddrs]}:
                    await network.dial(PeerId(bytes.fromhex(peer)), multiaddrs)
                case {"publish": int(number)}:
                    body: dict[int, Encodable] = {1: number, 2: bytes(BODY_BYTES)}
                    record = sign_record(key, NETWORK, Kind.SIGNAL, body)
                    frame = make_frame([(record.data, 0)])
                    _say({"published": number, "at": time.monotonic_ns()})
                    await network.publish(TOPIC, frame)
        nursery.cancel_scope.cancel()


async def _tell(
    network: Libp2pNetwork, inputs: trio.MemoryReceiveChannel[NetworkInput]
) -> None:
    async for item in inputs:
        match item:
            case Listening(multiaddrs):
                _say({"peer": network.peer.raw.hex(), "multiaddrs": multiaddrs})
            case PeerUp(peer):
                _say({"up": peer.raw.hex()})
            case Heard(_, _, records):
                at = time.monotonic_ns()
                for carried in records:
                    number = carried.record.fields.integer(1, 0, 1 << 32)
                    _say({"heard": number, "at": at})


async def _lines() -> Any:
    rest = b""
    stream = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(run)
