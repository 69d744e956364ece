"""Golden bytes of blobs: ids of blobs, keys in the DHT, and every frame.

Run it to write ``blobs.json`` anew; then read the diff, because every changed byte
breaks the wire for somebody.
"""

import json
from hashlib import shake_256
from pathlib import Path

from nestmate_protocol.blobs import frames
from nestmate_protocol.blobs.placing import Placing
from nestmate_protocol.blobs.sealing import seal_all, sealed_tree
from nestmate_protocol.blobs.tree import Tree, hash_of
from nestmate_protocol.ids import BlobId, NetworkId, PeerId, SpaceId
from nestmate_protocol.limits import BLOB_PIECE_BYTES, CHUNK_BYTES

FILE = Path(__file__).parent / "blobs.json"

NETWORK, SPACE = NetworkId(b"\x06" * 32), SpaceId(b"\x11" * 32)
BLOB = BlobId(b"\x44" * 32)
KEY = b"\x33" * 32
SEALED_SIZES = (0, 1, BLOB_PIECE_BYTES, BLOB_PIECE_BYTES + 1, 3 * CHUNK_BYTES)
SIZES = (0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES)


def body_of(size):
    """The first bytes of SHAKE256 of nothing."""
    return shake_256(b"").digest(size) if size else b""


def tree(size):
    """The tree of so many of them."""
    body = body_of(size)
    parts = [body[at : at + CHUNK_BYTES] for at in range(0, size, CHUNK_BYTES)]
    return Tree(size, b"".join(map(hash_of, parts)))


def every_frame():
    made = (
        frames.Want(BLOB, True),
        frames.Have(BLOB, CHUNK_BYTES + 1, False, b"\x01", b"\x22" * 64),
        frames.No(BLOB, frames.Reason.BUSY),
        frames.AskChunks(BLOB, (0, 4_095)),
        frames.Chunk(BLOB, 1, b"!"),
    )
    whole = frames.Have(BLOB, CHUNK_BYTES + 1, True, None, None)
    packed = {type(each).__name__: frames.pack(each).hex() for each in made}
    return packed | {"Have, whole": frames.pack(whole).hex()}


def rendered():
    """The text of the file."""
    placing = Placing(PeerId(b"\x21" * 32), NETWORK)
    parts = {
        "comment": "What docs/spec/08-blobs.md says, in bytes.",
        "bodies": "the first bytes of SHAKE256 of the empty string, by size",
        "ids": {str(size): tree(size).blob.text for size in SIZES},
        "sealed": {
            "key": KEY.hex(),
            "ids": {
                str(size): sealed_tree(KEY, [body_of(size)]).blob.text
                for size in SEALED_SIZES
            },
            "chunk of 1 byte": next(seal_all(KEY, [body_of(1)])).hex(),
        },
        "network": NETWORK.raw.hex(),
        "blob": BLOB.raw.hex(),
        "space": SPACE.raw.hex(),
        "key": placing.key_of(BLOB).hex(),
        "key_in_space": placing.key_of(BLOB, SPACE).hex(),
        "frames": every_frame(),
    }
    return json.dumps(parts, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
