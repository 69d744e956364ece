"""Signal ingest: strict decoding, verification and merging, beside libsodium alone.

Frames of sixty-four signals by many authors go through the one door for foreign bytes
and into a fresh board, as they do in a node; the raw twin verifies as many signatures
over messages as long and does nothing else. Both count processor time. This file knows
no network and no disk.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate.bench.figures import ROUNDS, Figure, Unit, at_least_share, in_rounds
from nestmate.errors import NodeError
from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify
from nestmate_protocol.ids import Address, DeviceKey, NetworkId
from nestmate_protocol.keys import SigningKey, verify
from nestmate_protocol.limits import FRAME_RECORDS_MAX, SIGNALS_PER_AUTHOR_BURST
from nestmate_protocol.records import Kind, make_frame, open_frame, sign_record
from nestmate_protocol.signals.board import Board
from nestmate_protocol.signals.levels import cost_cents
from nestmate_protocol.signals.outside import Outside
from nestmate_protocol.signals.records import Link, Signal, TaskClass

TARGET_PERCENT: Final = 60
SIGNALS: Final = 2_048
SIGNALS_QUICK: Final = 128
URGENCY_CODE: Final = 100
BODY: Final = b"a task of a hundred bytes or so, as an agent would write it down " * 2
NETWORK: Final = NetworkId(sha256(b"nestmate bench").digest())
NOW: Final = Moment(1_800_000_000_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Letter:
    """One signature to verify, for the raw twin."""

    key: DeviceKey
    message: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Post:
    """What comes in: frames, who wrote what in them, and the same for the twin."""

    frames: tuple[bytes, ...]
    authors: dict[DeviceKey, Address]
    letters: tuple[Letter, ...]


def measure(quick: bool) -> Iterable[Figure]:
    """One figure: signals per second of processor time."""
    post = prepare(SIGNALS_QUICK if quick else SIGNALS)
    count = len(post.letters)
    rounds = [
        (count / _seconds_raw(post), count / _seconds_ours(post)) for _ in range(ROUNDS)
    ]
    target = at_least_share(TARGET_PERCENT)
    yield in_rounds("ingest.signals", Unit.PER_SECOND, rounds, target)


def prepare(count: int) -> Post:
    """Frames with ``count`` signals, of each author as many as go in at once."""
    authors: dict[DeviceKey, Address] = {}
    records: list[bytes] = []
    letters: list[Letter] = []
    for author, numbers in enumerate(_shared_out(count)):
        key = SigningKey(sha256(f"author {author}".encode()).digest())
        authors[key.public] = address = Address(sha256(key.public.raw).digest())
        prev: bytes | None = None
        for number in numbers:
            spent = (number - numbers.start + 1) * cost_cents(URGENCY_CODE)
            link = Link(bytes(16), number, prev, spent)
            body = _signal(address, number, link).fields()
            record = sign_record(key, NETWORK, Kind.SIGNAL, body)
            prev, data = record.id.raw, record.data
            records.append(data)
            letters.append(Letter(key.public, data, key.sign(data)))
    frames = [
        make_frame([(data, 10) for data in records[at : at + FRAME_RECORDS_MAX]])
        for at in range(0, count, FRAME_RECORDS_MAX)
    ]
    return Post(tuple(frames), authors, tuple(letters))


def _shared_out(count: int) -> Iterator[range]:
    for at in range(0, count, SIGNALS_PER_AUTHOR_BURST):
        yield range(at, min(count, at + SIGNALS_PER_AUTHOR_BURST))


def _signal(issuer: Address, number: int, link: Link) -> Signal:
    return Signal(
        issuer=issuer,
        key=number.to_bytes(16),
        skill="translate",
        urgency_code=URGENCY_CODE,
        size_code=32,
        ttl_seconds=600,
        task_class=TaskClass.NORMAL,
        lease_seconds=15,
        link=link,
        body=BODY,
        body_hash=sha256(BODY).digest(),
        body_bytes=len(BODY),
        created_ms=NOW.wall_ms,
        generation=1,
        open_ms=0,
    )


def _seconds_raw(post: Post) -> float:
    began = time.process_time()
    for letter in post.letters:
        verify(letter.key, letter.message, letter.signature)
    return time.process_time() - began


def _seconds_ours(post: Post) -> float:
    board = _board()
    sensed = 0
    began = time.process_time()
    for frame in post.frames:
        for carried in open_frame(frame, NETWORK):
            author = post.authors[carried.record.author]
            for outcome in board.admit(carried.record, author, carried.age_ms, NOW):
                sensed += isinstance(outcome, Notify)
    seconds = time.process_time() - began
    if sensed != len(post.letters):
        raise NodeError(f"Only {sensed} of {len(post.letters)} signals were sensed.")
    return seconds


def _board() -> Board:
    key = SigningKey(sha256(b"reader").digest())
    board = Board(
        Address(sha256(key.public.raw).digest()),
        NETWORK,
        key,
        bytes(16),
        Outside(bytes, _Blank(), lambda _: 1.0),
    )
    board.start(NOW)
    return board


class _Blank:
    """A disk with nothing on it."""

    def get(self, key: bytes) -> bytes | None:  # noqa: ARG002 - the port asks for it
        return None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:  # noqa: ARG002 - as above
        return iter(())
