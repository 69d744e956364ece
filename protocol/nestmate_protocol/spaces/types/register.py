"""Register: one value at a path, and every value that was written without knowing it.

A write replaces exactly what its writer read, and a writer's own last write. What is
left are alternatives: the latest is shown, and unless the path's policy settles it,
more than one value is a conflict. This file knows no path and no policy's place.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from fractions import Fraction
from typing import Final

from nestmate_protocol.ids import ID_BYTES, DeviceKey
from nestmate_protocol.spaces.ops import Dot, Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order, not_superseded

PUT: Final = 0
DELETE: Final = 1

_NUMBER: Final = re.compile(rb"-?[0-9]{1,64}(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,2})?")


@unique
class Policy(StrEnum):
    """How a conflict at a path is looked at; it never changes what is live.

    ``LWW`` takes the latest, ``MAX`` and ``MIN`` the greatest and the least value,
    ``UNION`` all of them, ``OWNER`` what the path's owner wrote, ``CLAIM`` what the
    holder of the claim at the same path wrote. ``MANUAL`` is for a person to settle.
    """

    LWW = "lww"
    MAX = "max"
    MIN = "min"
    UNION = "union"
    OWNER = "owner"
    CLAIM = "claim"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class RegisterView:
    """What a register shows: nothing, one value, or several where they are united.

    ``live`` are all alternatives, in the order of their dots. ``conflict`` says that
    they differ and that no policy has settled it.
    """

    shown: tuple[Entry, ...]
    live: tuple[Entry, ...]
    conflict: bool


def well_formed(mutation: Mutation) -> bool:
    """Whether a register understands it."""
    return mutation.arg is None and (
        (mutation.action == PUT and mutation.digest is not None)
        or (mutation.action == DELETE and mutation.digest is None)
    )


def live(entries: Sequence[Entry]) -> list[Entry]:
    """The values that count: of each writer its last write, if nobody replaced it.

    A writer is a key in one life: of the mutations at its highest seq the last one
    counts, and one in each op if it forked there. A deletion leaves nothing.
    """
    last: dict[tuple[bytes, bytes], int] = {}
    final: dict[bytes, Dot] = {}
    for entry in entries:
        op = entry.dot[:ID_BYTES]
        last[entry.writer] = max(last.get(entry.writer, 0), entry.seq)
        final[op] = max(final.get(op, entry.dot), entry.dot)
    return in_order(
        entry
        for entry in not_superseded(entries)
        if entry.action == PUT
        and entry.seq == last[entry.writer]
        and entry.dot == final[entry.dot[:ID_BYTES]]
    )


def view(
    live: Collection[Entry],
    policy: Policy | None = None,
    preferred: Collection[DeviceKey] = (),
) -> RegisterView:
    """What the live entries show under a policy; None is no policy at all.

    ``preferred`` are the keys of the path's owner under ``OWNER``, and of the claim's
    holder under ``CLAIM``; if they wrote nothing, the latest is shown.
    """
    entries = tuple(in_order(live))
    differ = len({entry.digest for entry in entries}) > 1
    settled = policy not in {None, Policy.MANUAL}
    shown = tuple(_shown(entries, policy, preferred)) if entries else ()
    return RegisterView(shown, entries, differ and not settled)


def _shown(
    entries: Sequence[Entry], policy: Policy | None, preferred: Collection[DeviceKey]
) -> list[Entry]:
    if policy is Policy.UNION:
        latest: dict[bytes | None, Entry] = {}
        for entry in sorted(entries, key=lambda entry: entry.recency):
            latest[entry.digest] = entry
        return sorted(latest.values(), key=lambda entry: entry.digest or b"")
    if policy is Policy.MAX:
        return [max(entries, key=lambda entry: (_rank(entry), entry.recency))]
    if policy is Policy.MIN:
        return [min(entries, key=lambda entry: (_rank(entry), entry.recency))]
    if policy in {Policy.OWNER, Policy.CLAIM}:
        entries = [each for each in entries if each.author in preferred] or entries
    return [max(entries, key=lambda entry: entry.recency)]


def _rank(entry: Entry) -> tuple[bool, Fraction, bytes]:
    """How values compare: numbers as JSON writes them by size, below all else."""
    value = entry.value or b""
    if _NUMBER.fullmatch(value):
        return False, Fraction(value.decode()), b""
    return True, Fraction(0), value
