"""Blobs from one node's store into another's, beside hashing and writing alone.

``blobs.fetched`` is how much of a blob per second of processor time goes through both
nodes' parts: read from one store, framed, read strictly, proved, written to the other.
The raw twin hashes the same chunks and writes them to LevelDB. Nothing is synced and no
wire is in between. This file knows no network.
"""

import secrets
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from nestmate.bench.figures import ROUNDS, Figure, Unit, in_rounds
from nestmate.errors import NodeError
from nestmate.store.ahead import Ahead
from nestmate.store.database import Database
from nestmate.store.leveldb import LevelStore, open_leveldb
from nestmate_protocol.blobs.outcomes import Outcome
from nestmate_protocol.blobs.requests import PutChunk, ReadBlob, Stored
from nestmate_protocol.blobs.subject import Blobs
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify, Reply, Save, Send
from nestmate_protocol.ids import Address, BlobId, NetworkId, PeerId, SpaceId
from nestmate_protocol.limits import BLOB_CHUNKS_PER_PEER_PER_SECOND, CHUNK_BYTES

MEBIBYTES: Final = 32
MEBIBYTES_QUICK: Final = 2
STEP_MS: Final = 1_000 // BLOB_CHUNKS_PER_PEER_PER_SECOND + 1
GIVER: Final = PeerId(b"\1" * 32)
TAKER: Final = PeerId(b"\2" * 32)
_MEBIBYTE: Final = 1024 * 1024


@dataclass(slots=True)
class _Other:
    """The only peer there is."""

    peer: PeerId

    def peers(self) -> list[PeerId]:
        return [self.peer]

    def peer_of(self, address: Address) -> PeerId | None:  # noqa: ARG002 - unknown here
        return None

    def agent_at(self, peer: PeerId) -> Address | None:  # noqa: ARG002 - as above
        return None

    def readers(self, space: SpaceId) -> list[PeerId]:  # noqa: ARG002 - as above
        return []

    keepers = readers


@dataclass(slots=True)
class _Side:
    """The blobs of one node, its store, and what is on its way to it."""

    blobs: Blobs
    store: LevelStore
    way: deque[bytes] = field(default_factory=deque)


def measure(quick: bool) -> Iterable[Figure]:
    """One figure: MiB per second of processor time."""
    size = (MEBIBYTES_QUICK if quick else MEBIBYTES) * _MEBIBYTE
    rounds: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="nm-bench-") as name:
            chunks = _chunks(size, number)
            raw = _seconds_alone(Path(name), chunks)
            ours = _seconds_to_fetch(Path(name), chunks)
        rounds.append((size / _MEBIBYTE / raw, size / _MEBIBYTE / ours))
    yield in_rounds("blobs.fetched", Unit.MEBIBYTES_PER_SECOND, rounds)


def _chunks(size: int, seed: int) -> list[bytes]:
    block = b"".join(sha256(bytes([seed, n % 256])).digest() for n in range(2_048))
    return [n.to_bytes(8) + block[8:] for n in range(size // CHUNK_BYTES)]


def _seconds_alone(folder: Path, chunks: Iterable[bytes]) -> float:
    with ExitStack() as stack:
        raw = Database(folder / "raw", create=True)
        stack.callback(raw.close)
        began = time.process_time()
        for number, chunk in enumerate(chunks):
            sha256(chunk).digest()
            raw.write([(b"b/c/" + number.to_bytes(8), chunk)], durable=False)
        return time.process_time() - began


def _seconds_to_fetch(folder: Path, chunks: list[bytes]) -> float:
    with ExitStack() as stack:
        giver = _side(stack, folder / "giver", GIVER, TAKER)
        taker = _side(stack, folder / "taker", TAKER, GIVER)
        now = Moment(1_800_000_000_000, 1_000_000)
        blob = _put(giver, chunks, now)
        began = time.process_time()
        outcomes = taker.blobs.ask(1, ReadBlob(blob), now)
        while not _carry(taker, giver, outcomes):
            now = now.later(STEP_MS)
            _carry(giver, taker, giver.blobs.wake(now))
            outcomes = taker.blobs.wake(now)
            while giver.way:
                said = giver.blobs.arrived(TAKER, giver.way.popleft(), now)
                _carry(giver, taker, said)
            while taker.way:
                outcomes += taker.blobs.arrived(GIVER, taker.way.popleft(), now)
        return time.process_time() - began


def _side(stack: ExitStack, folder: Path, me: PeerId, other: PeerId) -> _Side:
    store = open_leveldb(folder)
    stack.callback(store.close)
    network = NetworkId(bytes(32))
    return _Side(
        Blobs(me, network, _Other(other), Ahead(store), secrets.token_bytes), store
    )


def _put(side: _Side, chunks: list[bytes], now: Moment) -> BlobId:
    upload = 0
    for number, chunk in enumerate(chunks):
        more = number < len(chunks) - 1
        wish = PutChunk(chunk, upload, number * CHUNK_BYTES, more, public=not more)
        for outcome in side.blobs.ask(0, wish, now):
            if isinstance(outcome, Save):
                side.store.write(outcome.writes, durable=False)
            elif isinstance(outcome, Reply) and isinstance(outcome.response, Stored):
                upload = outcome.response.upload
                if outcome.response.blob is not None:
                    return outcome.response.blob
    raise NodeError("This is a bug in nestmate: what was put got no name.")


def _carry(here: _Side, there: _Side, outcomes: Iterable[Outcome]) -> bool:
    """Do what one side wants done; whether it was told that the blob is whole."""
    whole = False
    for outcome in outcomes:
        match outcome:
            case Save(writes):
                here.store.write(writes, durable=False)
            case Send(_, _, data):
                there.way.append(data)
            case Notify(kind="blob.held"):
                whole = True
    return whole
