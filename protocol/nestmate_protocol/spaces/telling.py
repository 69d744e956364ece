"""Telling: what changed in a space, as events for the agents of this node.

An event names the change and refers to what it came to by version; it does not carry
the value. All that one op changed at one path is one event. This file decides nothing.
"""

from collections.abc import Iterable, Iterator, Mapping

from nestmate_protocol.effects import Notify, Scalar
from nestmate_protocol.ids import Address, DeviceKey, RecordId
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.engine.changes import (
    Change,
    Changed,
    ConflictOpened,
    ConflictResolved,
    Forked,
    Granted,
    Restored,
    Ungranted,
    Voided,
)
from nestmate_protocol.spaces.ops import Dot, op_of
from nestmate_protocol.spaces.typenames import word_of
from nestmate_protocol.spaces.versions import version_of

Names = Mapping[DeviceKey, Address]


def notices(copy: Copy, changes: Iterable[Change], names: Names) -> Iterator[Notify]:
    """The events these changes are worth."""
    seen: set[tuple[RecordId, str]] = set()
    for change in changes:
        match change:
            case Changed(path, kind, dot):
                op = op_of(dot)
                if (op, path) not in seen:
                    seen.add((op, path))
                    standing = copy.engine.ops.author_of(op)
                    yield notice(
                        copy, "space.changed", standing, names,
                        path=path, type=word_of(kind), ref=version_of([dot]),
                    )  # fmt: skip
            case ConflictOpened(path):
                yield notice(copy, "conflict.opened", None, names, path=path)
            case ConflictResolved(path):
                yield notice(copy, "conflict.resolved", None, names, path=path)
            case Voided():
                yield _fate(copy, "op.voided", change, names)
            case Restored():
                yield _fate(copy, "op.restored", change, names)
            case Forked(author, one, other):
                yield notice(
                    copy, "author.forked", author, names, one=one.text, other=other.text
                )
            case Granted(grant):
                yield _member(copy, "member.added", grant, names)
            case Ungranted(grant):
                yield _member(copy, "member.removed", grant, names)


def _fate(copy: Copy, kind: str, change: Voided | Restored, names: Names) -> Notify:
    """An op that does not count any more, or does again, with a path it wrote."""
    mutations, _ = copy.engine.ops.parts(change.op)
    path = mutations[0].path if mutations else ""
    lane = change.lane.name.lower()
    more = {"op": change.op.text, "lane": lane, "path": path}
    return notice(copy, kind, change.author, names, **more)


def _member(copy: Copy, kind: str, grant: Dot, names: Names) -> Notify:
    found = copy.engine.rights.holding(grant)
    who = None if found is None else found.who
    label = "" if found is None else found.label
    bare = notice(copy, kind, None, names, label=label)
    return Notify(kind, None, who, bare.details)


def notice(
    copy: Copy, kind: str, author: DeviceKey | None, names: Names, **more: Scalar
) -> Notify:
    """An event about something in a space, by whoever did it."""
    listing = copy.listing
    details: dict[str, Scalar] = {"space": listing.space.text, "name": listing.name}
    if author is not None and author not in names:
        details["device"] = author.text
    who = None if author is None else names.get(author)
    return Notify(kind, None, who, {**details, **more})
