"""Chains: what authors signed of late, by place, and what that proves.

Signals and deposits of one device form one hash chain per incarnation. Two different
records in one place of it, or two in a row of which the second names another before it,
are proof of a lie to anybody who sees both. Here the latest records of every device are
kept by place, so that such a pair is seen when it comes, and it is known which chains
grew since neighbours were told. This file knows no task, no credit and no peer.
"""

from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from nestmate_protocol.limits import CARDS_KNOWN_MAX, HEADS_PER_ROUND_MAX
from nestmate_protocol.records import Record
from nestmate_protocol.signals.records import Link

_PLACES_KEPT: Final = 8
_PLACES_MAX: Final = 16


class Proof(NamedTuple):
    """Two records of one device that cannot both be in one honest chain."""

    first: bytes
    second: bytes


class Head(NamedTuple):
    """Where a device's chain ends, as far as somebody knows; ``key`` is 32 bytes."""

    key: bytes
    incarnation: bytes
    seq: int
    record_id: bytes


_Place: TypeAlias = tuple[bytes, int]
"""Incarnation and number: a lost disk may make an honest author count anew."""

_Placed: TypeAlias = tuple[bytes, bytes, bytes | None]
"""One record at its place: id, bytes, and the id before it.

A plain tuple, because one is made for every signal that comes in.
"""


class Chains:
    """The latest records of each device; those met first are forgotten first."""

    def __init__(self) -> None:
        self._places: dict[bytes, dict[_Place, _Placed]] = {}
        self._fresh: dict[bytes, None] = {}
        self._told: dict[bytes, None] = {}

    def __repr__(self) -> str:
        return f"<Chains of {len(self._places)}>"

    def note(self, record: Record, link: Link) -> Proof | None:
        """Keep a verified record; the proof, if it does not fit what is kept."""
        key, name = record.author.raw, record.id.raw
        places = self._places.get(key)
        if places is None:
            places = self._begin(key)
        else:
            known = places.get((link.incarnation, link.seq))
            if known is not None and known[0] == name:
                return None
            proof = _clash(places, record, link)
            if proof is not None:
                return proof
        incarnation, seq, prev, _ = link
        places[incarnation, seq] = (name, record.data, prev)
        if len(places) > _PLACES_MAX:
            for old in list(islice(places, len(places) - _PLACES_KEPT)):
                del places[old]
        self._fresh[key] = None
        return None

    def clash(self, record: Record, link: Link) -> Proof | None:
        """The proof that a verified record gives with what is kept."""
        places = self._places.get(record.author.raw)
        return _clash(places, record, link) if places else None

    def has_fresh(self) -> bool:
        """Whether any chain grew since ``fresh`` was last asked."""
        return bool(self._fresh)

    def fresh(self) -> list[Head]:
        """The ends of chains that grew since this was last asked, at most a round's.

        Those that grew first come first, so that all have their turn.
        """
        keys = list(islice(self._fresh, HEADS_PER_ROUND_MAX))
        for key in keys:
            del self._fresh[key]
            self._told.pop(key, None)
            self._told[key] = None
        while len(self._told) > HEADS_PER_ROUND_MAX:
            del self._told[next(iter(self._told))]
        return [self._head(key) for key in keys if self._places.get(key)]

    def refresh(self) -> None:
        """Somebody new is there: the chains told of latest are to be told again."""
        self._fresh.update(dict.fromkeys(self._told))

    def against(self, head: Head) -> bytes | None:
        """The record kept here that with the one a head names proves a lie."""
        places = self._places.get(head.key, {})
        same = places.get((head.incarnation, head.seq))
        if same is not None:
            return None if same[0] == head.record_id else same[1]
        after = places.get((head.incarnation, head.seq + 1))
        if after is not None:
            return None if after[2] == head.record_id else after[1]
        return None

    def forget(self, key: bytes) -> None:
        """Keep nothing more of a device."""
        for of_keys in (self._places, self._fresh, self._told):
            of_keys.pop(key, None)

    def _begin(self, key: bytes) -> dict[_Place, _Placed]:
        while len(self._places) >= CARDS_KNOWN_MAX:
            self.forget(next(iter(self._places)))
        places: dict[_Place, _Placed] = {}
        self._places[key] = places
        return places

    def _head(self, key: bytes) -> Head:
        """Where a chain came to last: a liar may begin a new one at a lower place."""
        places = self._places[key]
        incarnation, seq = place = next(reversed(places))
        return Head(key, incarnation, seq, places[place][0])


def contradict(first: Record, one: Link, second: Record, other: Link) -> bool:
    """Whether two verified records cannot both be in one honest chain."""
    if first.author != second.author or one.incarnation != other.incarnation:
        return False
    if one.seq == other.seq:
        return first.id != second.id
    return other.seq == one.seq + 1 and other.prev != first.id.raw


def _clash(places: dict[_Place, _Placed], record: Record, link: Link) -> Proof | None:
    incarnation, seq, prev, _ = link
    same = places.get((incarnation, seq))
    if same is not None and same[0] != record.id.raw:
        return Proof(same[1], record.data)
    before = places.get((incarnation, seq - 1))
    if before is not None and before[0] != prev:
        return Proof(before[1], record.data)
    after = places.get((incarnation, seq + 1))
    if after is not None and after[2] != record.id.raw:
        return Proof(record.data, after[1])
    return None
