"""Golden bytes of sync: greeting, reconciling, and every frame.

Run it to write ``sync.json`` anew; then read the diff, because every changed byte
breaks the wire for somebody.
"""

import json
from hashlib import sha256
from pathlib import Path

from nestmate_protocol.ids import DeviceKey, NetworkId, PeerId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.ops import Dot, Lane
from nestmate_protocol.spaces.ranges import Listed, Print, Skip, Wanted, pack, varint
from nestmate_protocol.spaces.reconcile import Exchange, Negentropy, fingerprint
from nestmate_protocol.spaces.summary import END, Summary
from nestmate_protocol.spaces.sync import frames
from nestmate_protocol.spaces.sync.greeting import Salted, prove, short_ids, tag_of

FILE = Path(__file__).parent / "sync.json"

SEED = b"\x01" * 32
NETWORK, SPACE = NetworkId(b"\x06" * 32), SpaceId(b"\x11" * 32)
US = Salted(PeerId(b"\x21" * 32), b"\x31" * 16)
THEM = Salted(PeerId(b"\x22" * 32), b"\x32" * 16)
DOT = Dot(b"\x41" * 32 + b"\x02")
STANDS = (frames.Stand(3, b"\x51" * 16), frames.Stand(300, b"\x52" * 16), None)


class Rows:
    """Keys in order, as a store would give them."""

    def __init__(self, keys):
        self.keys = sorted(keys)

    def scan(self, start, stop):
        return iter([key for key in self.keys if start <= key < stop])


def keys(count):
    """So many keys: time 1,000 * n, id SHA-256 of n in 8 bytes, big-endian."""
    numbers = range(count)
    return [(1_000 * n).to_bytes(8) + sha256(n.to_bytes(8)).digest() for n in numbers]


def summary(count):
    return Summary(Rows(keys(count)))


def greeting():
    key, short = SigningKey(SEED), short_ids(US, THEM)
    return {
        "seed": SEED.hex(),
        "network": NETWORK.raw.hex(),
        "space": SPACE.raw.hex(),
        "own_peer": US.peer.raw.hex(),
        "own_salt": US.salt.hex(),
        "other_peer": THEM.peer.raw.hex(),
        "other_salt": THEM.salt.hex(),
        "own_tag": tag_of(SPACE, US.salt).hex(),
        "key": key.public.raw.hex(),
        "signature": prove(key, NETWORK, SPACE, US, THEM).hex(),
        "short_id_of_first_key": short(keys(1)[0]).hex(),
    }


def reconciling():
    bound, beginning = (7).to_bytes(8), (7).to_bytes(8) + b"\xab"
    short = short_ids(US, THEM)
    told = [
        Skip(bound),
        Print(beginning, b"\x51" * 16),
        Listed((1_000).to_bytes(8), (b"\x61" * 8, b"\x62" * 8)),
        Wanted(END, (0, 3, 9)),
    ]
    return {
        "keys": "key n has time 1,000 n and id SHA-256 of n in 8 bytes, big-endian",
        "varints": {str(n): varint(n).hex() for n in (0, 127, 128, 300, 2**48)},
        "fingerprints": {
            str(n): fingerprint(summary(n), 0, n).hex() for n in (0, 1, 2, 300)
        },
        "four_modes": pack(told).hex(),
        "first_message": {
            str(n): Exchange(summary(n), short).begin().hex() for n in (0, 3, 100)
        },
        "negentropy_first_message": {
            str(n): Negentropy(summary(n)).begin().hex() for n in (0, 3, 100)
        },
    }


def every_frame():
    proofs = ((DeviceKey(b"\x71" * 32), b"\x72" * 64),)
    made = (
        frames.Hello(US.salt, (b"\x81" * 16,)),
        frames.Tags((b"\x82" * 16, b"\x83" * 16)),
        frames.Proof(1, b"\x81" * 16, proofs),
        frames.State(1, 2, 7, 300, STANDS, b"\x53" * 16),
        frames.Ranges(1, 2, Lane.DATA, b"\0\0\2\0"),
        frames.Ops(1, 0, (b"one", b"two")),
        frames.Done(1, 2, frames.End.EQUAL),
        frames.Credit(4),
        frames.AskOps(1, (RecordId(b"\x91" * 32),)),
        frames.LeavesOf(1, 2, (b"\x71" * 32 + b"\1" + bytes(8) + b"\x91" * 32,)),
        frames.Offer(SPACE, "garden", DOT),
    )
    return {type(each).__name__: frames.pack(each).hex() for each in made}


def rendered():
    """The text of the file."""
    parts = {
        "comment": "What docs/spec/06-sync.md says, in bytes.",
        "greeting": greeting(),
        "reconciling": reconciling(),
        "frames": every_frame(),
    }
    return json.dumps(parts, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
