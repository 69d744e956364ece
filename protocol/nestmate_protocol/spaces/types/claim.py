"""Claim: one holder among those who bid, the same for all who know the same bids.

The highest bid that has not run out holds; among equal ones the lowest hash of path
and key. No timestamp has a say, so lying about the time wins nothing, and a path's hash
is not known when a key is made. Only who bid can take a bid back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate_protocol.spaces.ops import Mutation
from nestmate_protocol.spaces.types.entries import Entry, in_order, pair_of

BID: Final = 0
RELEASE: Final = 1


@dataclass(frozen=True, slots=True)
class ClaimView:
    """Who holds a claim: ``holder`` is the bid that does, None for nobody.

    ``standing`` are all bids that have not run out, best first; ``until_ms`` says when
    the holder's bid does, and so when to look again.
    """

    holder: Entry | None
    standing: tuple[Entry, ...]
    until_ms: int


def well_formed(mutation: Mutation) -> bool:
    """Whether a claim understands it: its arg is ``[amount, until in Unix ms]``."""
    if mutation.action == RELEASE:
        return mutation.arg is None
    return mutation.action == BID and pair_of(mutation.arg) is not None


def live(entries: Sequence[Entry]) -> list[Entry]:
    """The bids that their own bidder has neither replaced nor taken back."""
    gone = {(dot, each.author) for each in entries for dot in each.superseded}
    return in_order(
        each
        for each in entries
        if each.action == BID and (each.dot, each.author) not in gone
    )


def view(live: Collection[Entry], path: str, now_ms: int) -> ClaimView:
    """Who holds the claim at ``path`` at a time."""
    standing = [entry for entry in live if until_ms(entry) > now_ms]
    standing.sort(key=lambda entry: _rank(entry, path))
    if not standing:
        return ClaimView(None, (), 0)
    return ClaimView(standing[0], tuple(standing), until_ms(standing[0]))


def until_ms(bid: Entry) -> int:
    """When a bid runs out, Unix ms."""
    _, until = pair_of(bid.arg) or (0, 0)
    return until


def _rank(bid: Entry, path: str) -> tuple[int, bytes, int, bytes]:
    """Best first: by amount, then by lot; of one bidder the one that lasts longest."""
    amount, until = pair_of(bid.arg) or (0, 0)
    return -amount, sha256(path.encode() + bid.author.raw).digest(), -until, bid.dot
