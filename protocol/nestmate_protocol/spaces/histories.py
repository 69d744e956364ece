"""Histories: who wrote what, by which right, what became of it, and why.

Everything is read off the ops that are held here, void ones too, so that it can be told
of a write that does not count that it was made. This file changes nothing.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from nestmate_protocol.clocks import Moment, Timestamp
from nestmate_protocol.grants import Rights, is_below
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.engine.opbook import Standing
from nestmate_protocol.spaces.members import names_in
from nestmate_protocol.spaces.ops import Dot, Lane, Mutation, Type
from nestmate_protocol.spaces.reading import DATA_TYPES, POLICY, Reading, places_above
from nestmate_protocol.spaces.requests import (
    DocumentView,
    Fate,
    WriteView,
    WriteViews,
)
from nestmate_protocol.spaces.types import register
from nestmate_protocol.spaces.versions import version_of


class Historian:
    """Tells where things in one space came from."""

    def __init__(self, copy: Copy, now: Moment) -> None:
        self._copy = copy
        self._now = now
        self._names = names_in(copy)

    def __repr__(self) -> str:
        return f"<Historian of {self._copy!r}>"

    def of_path(self, path: str, limit: int) -> WriteViews:
        """Every write to a path that is held, newest first."""
        ops = self._copy.engine.ops
        found = [
            (standing, dot)
            for kind in DATA_TYPES
            for standing, dot in ops.history(path, kind)
        ]
        found.sort(key=lambda pair: (pair[0].hlc, pair[1]), reverse=True)
        return WriteViews(
            tuple(self._write(standing, dot) for standing, dot in found[:limit])
        )

    def void(self, limit: int) -> WriteViews:
        """Writes that do not count, newest first."""
        lost = sorted(
            self._copy.engine.ops.voided(), key=lambda each: each.hlc, reverse=True
        )
        return WriteViews(tuple(islice(self._writes_of(lost), limit)))

    def explained(self, path: str, document: DocumentView | None) -> Iterator[str]:
        """Why a path shows what it shows, and who may change it."""
        if document is None:
            yield f"Nothing stands at {path}."
        elif document.conflict:
            yield (
                f"{len(document.alternatives)} values are alive at {path}, because "
                "their writers did not know of each other; the latest is shown first."
            )
        else:
            yield f"What stands at {path} is what was last written there knowingly."
        if document is not None:
            for each in document.alternatives:
                by = each.author.text if each.who is None else each.who.text
                yield f"One value is by {by}, under {_grant_words(each.grant)}."
        yield from self._policy_words(path)
        yield from self._rights_words(path)
        gone = sum(1 for each in self.of_path(path, 1_000).writes if each.why)
        if gone:
            yield f"{gone} writes to it do not count; `nestmate space void` lists them."

    def _policy_words(self, path: str) -> Iterator[str]:
        for place in places_above(POLICY, path):
            shown = register.view(
                self._copy.engine.views.live(place, Type.REGISTER)
            ).shown
            if shown:
                word = (shown[0].value or b"").decode(errors="replace")
                yield f"The policy that counts here is {word}, set at {place}."
                return
        yield "No policy is set here: the latest value is shown, others are kept."

    def _rights_words(self, path: str) -> Iterator[str]:
        right = Rights.RULE if path.startswith(".") else Rights.WRITE
        desk = self._copy.engine.rights
        genesis = desk.genesis
        for address, _ in () if genesis is None else genesis.founders:
            yield f"{address.text} may write it, as a founder."
        for each in desk.members():
            covers = right in each.grant.rights and any(
                is_below(path, area) for area in each.grant.areas
            )
            if covers and not each.revoked:
                who = each.grant.who
                name = "whoever holds an invite" if who is None else who.text
                yield f"{name} may write it, under {version_of([each.dot])}."

    def _writes_of(self, standings: Iterable[Standing]) -> Iterator[WriteView]:
        for standing in standings:
            mutations, _ = self._copy.engine.ops.parts(standing.op)
            for n in range(len(mutations)):
                yield self._write(standing, Dot(standing.op.raw + bytes((n,))))

    def _write(self, standing: Standing, dot: Dot) -> WriteView:
        mutations, values = self._copy.engine.ops.parts(standing.op)
        mutation: Mutation = mutations[dot[-1]]
        return WriteView(
            op=standing.op,
            path=mutation.path,
            type=mutation.type,
            action=mutation.action,
            value=values[dot[-1]],
            version=version_of([dot]),
            author=standing.author,
            who=self._names.get(standing.author),
            at_ms=Timestamp.from_int(standing.hlc).wall_ms,
            grant="" if standing.cap is None else version_of([standing.cap]),
            fate=self._fate(standing, mutation, dot),
            why=self._why(standing),
        )

    def _fate(self, standing: Standing, mutation: Mutation, dot: Dot) -> Fate:
        if not standing.valid:
            return Fate.VOID
        if standing.lane is Lane.AUTH:
            return Fate.LIVE
        live = self._copy.engine.views.live(mutation.path, mutation.type)
        alive = any(entry.dot == dot for entry in live)
        return Fate.LIVE if alive else Fate.SUPERSEDED

    def _why(self, standing: Standing) -> str:
        """Why a write does not count; empty if it does."""
        if standing.valid:
            return ""
        cap = standing.cap
        desk = self._copy.engine.rights
        if cap is None:
            if not desk.is_founder(standing.author):
                return "its author is no founder and names no grant"
            return "other founders have not endorsed it"
        chain = desk.chain(cap)
        if not chain:
            return "the grant it names is none"
        if standing.author not in chain[0].grant.keys:
            return "the grant it names is not its author's"
        if any(each.revoked for each in chain):
            return "its grant was revoked, and the revocation does not keep it"
        return "it goes beyond its grant"


def reading(copy: Copy, now: Moment) -> Reading:
    """A look at a space with the names its grants give."""
    return Reading(copy, names_in(copy), now)


def _grant_words(grant: str) -> str:
    return f"grant {grant}" if grant else "a founder's own right"
