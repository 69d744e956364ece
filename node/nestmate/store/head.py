"""The head file: what the store must still hold, written where LevelDB cannot lose it.

LevelDB reopens without complaint after losing the tail of its log. The head stands
outside the database and says how many batches there were and what their rolling hash
was, so that a lost tail is found at boot. It also names the folder of the database,
so that a repaired one takes the old one's place in a single rename. This file knows
nothing of keys and values.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nestmate.files import write_whole

HEAD_FILE: Final = "head"
INCARNATION_BYTES: Final = 16
CHAIN_BYTES: Final = 32
EMPTY_CHAIN: Final = bytes(CHAIN_BYTES)

_MAGIC: Final = b"nesthead"
_FORM: Final = struct.Struct(">8sIIQ16s32s")
_CHECK_BYTES: Final = 8
_VERSION: Final = 1


class HeadDamagedError(Exception):
    """The head file is there, but not as it was written."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is vouched for: ``batches`` durable ones, hashed together in ``chain``.

    ``generation`` numbers the database folder; ``incarnation`` is that of the boot
    that wrote this.
    """

    generation: int
    batches: int
    incarnation: bytes
    chain: bytes

    def write(self, folder: Path) -> None:
        """Put this head into a store's folder, durably; raises OSError."""
        body = _FORM.pack(
            _MAGIC,
            _VERSION,
            self.generation,
            self.batches,
            self.incarnation,
            self.chain,
        )
        write_whole(folder / HEAD_FILE, body + _check(body))


def read_head(folder: Path) -> Head | None:
    """The head in a store's folder, or None without one; HeadDamagedError, OSError."""
    try:
        data = (folder / HEAD_FILE).read_bytes()
    except FileNotFoundError:
        return None
    body, check = data[: _FORM.size], data[_FORM.size :]
    if len(body) != _FORM.size or check != _check(body):
        raise HeadDamagedError
    magic, version, generation, batches, incarnation, chain = _FORM.unpack(body)
    if magic != _MAGIC or version != _VERSION:
        raise HeadDamagedError
    return Head(generation, batches, incarnation, chain)


def next_chain(chain: bytes, tags: bytes) -> bytes:
    """The rolling hash after one more batch, of which ``tags`` are the checksums."""
    return hashlib.blake2b(chain + tags, digest_size=CHAIN_BYTES).digest()


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES).digest()
