"""Hearsay: frames between neighbours that are about records and bring none to take in.

``[2, heads]`` says where chains end as far as somebody knows; nobody signed that, and
it proves nothing. ``[3, records]`` brings witnesses: records that are looked at for
what they prove about their author's chain, and for nothing else. Both travel on the
direct channel of signals, beside the frames of ``records``. This file knows their form.
"""

from collections.abc import Sequence
from typing import Final

from nestmate_protocol.codec import decode, encode, row
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, NetworkId
from nestmate_protocol.limits import (
    FRAME_BYTES_MAX,
    HEADS_PER_ROUND_MAX,
    RECORD_BYTES_MAX,
    WITNESSES_PER_FRAME_MAX,
)
from nestmate_protocol.records import Kind, Record, open_record
from nestmate_protocol.signals.chains import Head
from nestmate_protocol.signals.records import (
    COUNT_MAX,
    INCARNATION_BYTES,
    Deposit,
    Link,
    Signal,
)

_HEADS: Final = 2
_WITNESSES: Final = 3
_STARTS: Final = (b"\x82\x02", b"\x82\x03")  # an array of two and its first item


def is_hearsay(data: bytes) -> bool:
    """Whether foreign bytes are meant to be such a frame."""
    return data[:2] in _STARTS


def head_frame(heads: Sequence[Head]) -> bytes:
    """Where chains end."""
    return encode([_HEADS, [list(head) for head in heads]])


def witness_frame(records: Sequence[bytes]) -> bytes:
    """Records that prove something to those who know the rest, or together."""
    return encode([_WITNESSES, list(records)])


def open_hearsay(
    data: bytes, network: NetworkId
) -> tuple[tuple[Head, ...], tuple[tuple[Record, Link], ...]]:
    """Heads and witnesses of a frame, one of the two; witnesses are verified.

    Raises RemoteError and nothing else, whatever the bytes.
    """
    frame = row(decode(data, FRAME_BYTES_MAX))
    kind = frame.integer(0, _HEADS, _WITNESSES)
    if kind == _HEADS:
        heads = tuple(
            Head(
                each.octets(0, ID_BYTES, ID_BYTES),
                each.octets(1, INCARNATION_BYTES, INCARNATION_BYTES),
                each.integer(2, 0, COUNT_MAX),
                each.octets(3, ID_BYTES, ID_BYTES),
            )
            for each in frame.rows(1, HEADS_PER_ROUND_MAX)
        )
        return heads, ()
    witnesses: list[tuple[Record, Link]] = []
    for item in frame.items(1, WITNESSES_PER_FRAME_MAX):
        if type(item) is not bytes or len(item) > RECORD_BYTES_MAX:
            raise RemoteError(Fault.BAD_FIELD, "a witness is a record")
        record = open_record(item, network)
        witnesses.append((record, link_of(record)))
    return (), tuple(witnesses)


def link_of(record: Record) -> Link:
    """A record's place in its author's chain; RemoteError for kinds without one."""
    if record.kind is Kind.SIGNAL:
        return Signal.read(record.fields).link
    if record.kind is Kind.DEPOSIT:
        return Deposit.read(record.fields).link
    raise RemoteError(Fault.UNKNOWN_KIND, "no record of a chain")
