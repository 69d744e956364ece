"""The tally: records, frames and bytes that crossed a link, by what the records say.

The study counts calls, claims, grants and denials and leaves out beats, results and
what is learned from them; here both are counted and told apart. A lease that
answers a beat is part of the beat. This file knows no world.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from nestmate_protocol.ids import NetworkId
from nestmate_protocol.records import Kind, Record, open_record

OPENED_MAX: Final = 65_536
RENEWAL: Final = "renewal"
_LEASE_RENEWAL_FIELD: Final = 7
_UPKEEP: Final = frozenset(
    (
        Kind.BEAT.value,
        Kind.DONE.value,
        Kind.RECEIPT.value,
        Kind.TESTIMONY.value,
        RENEWAL,
    )
)


class Opener:
    """Opens records of one network; the same bytes only once, unless ``strict``.

    Signatures are real either way. A strict opener verifies again for every receiver,
    as every node does, and is for measuring what that takes.
    """

    def __init__(self, network: NetworkId, *, strict: bool) -> None:
        self.network = network
        self.strict = strict
        self._opened: dict[bytes, Record] = {}

    def __repr__(self) -> str:
        return f"<Opener of {len(self._opened)}>"

    def known(self, data: bytes) -> Record:
        """The record these bytes are, verified at least once."""
        record = self._opened.get(data)
        if record is None:
            if len(self._opened) >= OPENED_MAX:
                self._opened.clear()
            record = self._opened[data] = open_record(data, self.network)
        return record

    def received(self, data: bytes) -> Record:
        """The record as one more receiver opens it."""
        return open_record(data, self.network) if self.strict else self.known(data)


class Tally:
    """What crossed links so far."""

    def __init__(self, opener: Opener) -> None:
        self.records: Counter[str] = Counter()
        self.packets = 0
        self.bytes = 0
        self.delivered = 0
        self._opener = opener

    def __repr__(self) -> str:
        return f"<Tally of {sum(self.records.values())} records>"

    def count(self, records: Iterable[bytes], frame_bytes: int, copies: int) -> None:
        """One frame crossed so many links."""
        for data in records:
            self.records[self._name(data)] += copies
        self.packets += copies
        self.bytes += copies * frame_bytes

    def chosen(self) -> int:
        """Transmissions as the study counts them, without upkeep."""
        return sum(n for name, n in self.records.items() if name not in _UPKEEP)

    def _name(self, data: bytes) -> str:
        record = self._opener.known(data)
        if record.kind is Kind.LEASE and record.fields.body.get(_LEASE_RENEWAL_FIELD):
            return RENEWAL
        return record.kind.value
