"""Reading: what a path shows, out of its live entries, with where it all came from.

A path's policy decides which of several values is shown as the winner, and never which
are alive. This file changes nothing and knows no rights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from nestmate_protocol.clocks import Moment, Timestamp
from nestmate_protocol.ids import Address, DeviceKey, RecordId
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.ops import Dot, Type, op_of
from nestmate_protocol.spaces.requests import Alternative, DocumentView
from nestmate_protocol.spaces.types import (
    Entry,
    budget,
    claim,
    counter,
    lists,
    log,
    register,
    sets,
)
from nestmate_protocol.spaces.types.register import Policy
from nestmate_protocol.spaces.versions import version_of

POLICY: Final = ".policy"
SCHEMA: Final = ".schema"
DATA_TYPES: Final = tuple(kind for kind in Type if not kind.is_auth)

Names = Mapping[DeviceKey, Address]
_Show = Callable[["Reading", DocumentView, Sequence[Entry]], DocumentView]


class Reading:
    """One look at a space, by an agent that knows whose keys are whose."""

    def __init__(self, copy: Copy, names: Names, now: Moment) -> None:
        self._copy = copy
        self._names = names
        self._now = now

    def __repr__(self) -> str:
        return f"<Reading of {self._copy!r}>"

    def document(self, path: str, kind: Type | None) -> DocumentView | None:
        """What stands at a path; None if nothing does, of this type or of any."""
        for each in (kind,) if kind is not None else DATA_TYPES:
            entries = self._entries(path, each)
            if entries:
                return self.shown(path, each, entries)
        return None

    def written(self, path: str, dots: Sequence[Dot]) -> DocumentView | None:
        """What these mutations wrote to a path; None unless all did and all count."""
        found = list(filter(None, (self._entry(path, dot) for dot in dots)))
        kinds = {kind for kind, _ in found}
        if len(found) < len(dots) or len(kinds) != 1:
            return None
        return self.shown(path, kinds.pop(), [entry for _, entry in found])

    def shown(self, path: str, kind: Type, entries: Sequence[Entry]) -> DocumentView:
        """What these live entries show."""
        bare = DocumentView(
            space=self._copy.listing.space,
            path=path,
            type=kind,
            value=None,
            version=version_of(entry.dot for entry in entries),
            conflict=False,
            policy=Policy.LWW,
        )
        return _SHOWN[kind](self, bare, entries)

    def policy_at(self, path: str) -> Policy | None:
        """The policy that counts at a path, set nearest above it; None for none."""
        for place in places_above(POLICY, path):
            entries = self._copy.engine.views.live(place, Type.REGISTER)
            shown = register.view(entries).shown
            word = (shown[0].value or b"").decode(errors="replace") if shown else ""
            if word.strip('"') in set(Policy):
                return Policy(word.strip('"'))
        return None

    def alternative(self, entry: Entry) -> Alternative:
        """One entry, and where it came from."""
        grant = self._grant_of(op_of(entry.dot))
        return Alternative(
            value=entry.value,
            version=version_of([entry.dot]),
            author=entry.author,
            who=self._names.get(entry.author),
            at_ms=Timestamp.from_int(entry.hlc).wall_ms,
            grant=grant,
        )

    def register(self, view: DocumentView, entries: Sequence[Entry]) -> DocumentView:
        """One value, or several where a policy unites them."""
        policy = self.policy_at(view.path)
        seen = register.view(entries, policy, self._preferred(view.path, policy))
        first = seen.shown[0] if seen.shown else entries[0]
        others = sorted(
            (entry for entry in entries if entry.dot != first.dot),
            key=lambda entry: entry.recency,
            reverse=True,
        )
        flags = ("dropped",) if first.value is None else ()
        united = seen.shown if policy is Policy.UNION else ()
        return replace(
            view,
            value=first.value,
            conflict=seen.conflict,
            policy=policy or Policy.LWW,
            alternatives=tuple(map(self.alternative, (first, *others))),
            values=tuple(map(self.alternative, united)),
            flags=flags,
        )

    def elements(self, view: DocumentView, entries: Sequence[Entry]) -> DocumentView:
        """The elements of a set, a log or a list, in the order of its type."""
        ordered: Sequence[Entry]
        if view.type is Type.SET:
            ordered = [adds[-1] for adds in sets.view(entries).values()]
        elif view.type is Type.LOG:
            ordered = log.view(entries)
        else:
            ordered = lists.view(entries)
        return replace(view, values=tuple(map(self.alternative, ordered)))

    def counter(self, view: DocumentView, entries: Sequence[Entry]) -> DocumentView:
        """What a counter comes to."""
        return replace(view, number=counter.view(entries).value)

    def claim(self, view: DocumentView, entries: Sequence[Entry]) -> DocumentView:
        """Who holds a claim now, and who else bids."""
        seen = claim.view(entries, view.path, self._now.wall_ms)
        holder = seen.holder
        return replace(
            view,
            value=None if holder is None else holder.value,
            holder=None if holder is None else self._names.get(holder.author),
            number=None if holder is None else seen.until_ms,
            alternatives=tuple(map(self.alternative, seen.standing)),
            is_there=bool(seen.standing),
        )

    def budget(self, view: DocumentView, entries: Sequence[Entry]) -> DocumentView:
        """What is left in all accounts together, and who overdrew theirs."""
        seen = budget.view(entries, self._copy.engine.ops.is_ancestor)
        flags = tuple(f"overdrawn by {self._called(key)}" for key in seen.overdrawn)
        if seen.unfunded:
            flags += (f"{len(seen.unfunded)} without cover",)
        return replace(
            view,
            number=seen.minted - seen.spent,
            values=tuple(map(self.alternative, entries)),
            flags=flags,
        )

    def _entries(self, path: str, kind: Type) -> Sequence[Entry]:
        views = self._copy.engine.views
        return views.live(path, kind) or views.ephemeral(path, kind)

    def _entry(self, path: str, dot: Dot) -> tuple[Type, Entry] | None:
        """A mutation that counts, replaced or not; None if it is no such thing."""
        ops = self._copy.engine.ops
        standing = ops.standing(op_of(dot))
        mutations, values = ops.parts(op_of(dot))
        n = dot[-1]
        if standing is None or not standing.valid or n >= len(mutations):
            return None
        wrote = mutations[n]
        if wrote.path != path:
            return None
        entry = Entry(
            dot=dot,
            author=standing.author,
            incarnation=b"",
            seq=0,
            hlc=standing.hlc,
            action=wrote.action,
            digest=wrote.digest,
            value=values[n],
            arg=wrote.arg,
        )
        return wrote.type, entry

    def _preferred(self, path: str, policy: Policy | None) -> frozenset[DeviceKey]:
        if policy is Policy.OWNER:
            parts = set(path.split("/"))
            return frozenset(k for k, who in self._names.items() if who.text in parts)
        if policy is Policy.CLAIM:
            entries = self._copy.engine.views.live(path, Type.CLAIM)
            holder = claim.view(entries, path, self._now.wall_ms).holder
            return frozenset(() if holder is None else (holder.author,))
        return frozenset()

    def _grant_of(self, op: RecordId) -> str:
        standing = self._copy.engine.ops.standing(op)
        cap = None if standing is None else standing.cap
        return "" if cap is None else version_of([cap])

    def _called(self, key: DeviceKey) -> str:
        who = self._names.get(key)
        return key.text if who is None else who.text


_SHOWN: Final[Mapping[Type, _Show]] = {
    Type.REGISTER: Reading.register,
    Type.SET: Reading.elements,
    Type.COUNTER: Reading.counter,
    Type.LOG: Reading.elements,
    Type.LIST: Reading.elements,
    Type.CLAIM: Reading.claim,
    Type.BUDGET: Reading.budget,
}


def places_above(root: str, path: str) -> Iterator[str]:
    """Where something said of a path may stand under ``root``, the nearest first."""
    parts = path.split("/")
    for end in range(len(parts), 0, -1):
        yield "/".join((root, *parts[:end]))
    yield root
