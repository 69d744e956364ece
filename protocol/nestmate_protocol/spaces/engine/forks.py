"""Forks: proofs that an author gave one place in one of its lives to several ops.

Honest authors never do: after a loss they begin a new life. This file judges nobody.
"""

from typing import Final

from nestmate_protocol.ids import DeviceKey, RecordId
from nestmate_protocol.limits import FORK_BRANCHES_LOOKED_AT_MAX
from nestmate_protocol.spaces.engine.chains import Branch, Chain, Chains, Link
from nestmate_protocol.spaces.engine.changes import Forked, Telling
from nestmate_protocol.spaces.engine.rows import Rows

FORKED: Final = b"y"


class Forks:
    """The proofs of one space, a row for each op of each."""

    def __init__(self, rows: Rows, chains: Chains, telling: Telling) -> None:
        self._rows = rows
        self._chains = chains
        self._telling = telling

    def __repr__(self) -> str:
        return f"<Forks among {self._chains!r}>"

    def look(self, chain: Chain, branch: Branch, link: Link) -> None:
        """Keep and tell of another op with the same seq in one life of its author."""
        for other in chain.branches[-FORK_BRANCHES_LOOKED_AT_MAX:]:
            if other is branch or not other.first <= link.seq < other.next:
                continue
            rival = self._chains.link(chain, (other.number, link.seq))
            if rival is not None and rival.incarnation == link.incarnation:
                place = FORKED + chain.key + link.incarnation + link.seq.to_bytes(8)
                self._rows.put(place + rival.id, b"")
                self._rows.put(place + link.id, b"")
                one, two = RecordId(rival.id), RecordId(link.id)
                author = DeviceKey(chain.author)
                self._telling.changes.append(Forked(author, one, two))
                return

    def forget(self, chain: Chain, link: Link) -> None:
        """An op is dropped: it proves nothing any more, nor does one left alone."""
        place = FORKED + chain.key + link.incarnation + link.seq.to_bytes(8)
        if self._rows.get(place + link.id) is None:
            return
        self._rows.delete(place + link.id)
        rest = [row for row, _ in self._rows.scan(place)]
        if len(rest) == 1:
            self._rows.delete(rest[0])
