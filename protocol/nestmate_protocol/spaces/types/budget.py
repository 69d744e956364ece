"""Budget: money that cannot be spent twice by who keeps to one chain, nor in secret.

A debit cites the credits it is paid from. It is good if all credits that its writer
cited on its chain up to there cover all good debits up to there; nobody has to be asked
for that. Who writes two chains can spend twice: both count, and the account shows what
is missing and who overdrew it. Source of the rule: Guerraoui et al., The Consensus
Number of a Cryptocurrency, 2019. This file knows no path.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from nestmate_protocol.codec import Value
from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId
from nestmate_protocol.limits import CREDITS_CITED_MAX
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Mutation, op_of
from nestmate_protocol.spaces.types.entries import Entry, in_order, is_amount

MINT: Final = 0
TRANSFER: Final = 1
SPEND: Final = 2

IsAncestor = Callable[[RecordId, RecordId], bool]
"""Whether the first op is the second, or comes before it in its author's chain."""


class Movement(NamedTuple):
    """What an entry moves: how much, to whom (None: it is spent), paid from what."""

    amount: int
    to: DeviceKey | None
    cited: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """What one key got and gave; ``balance`` below 0 is an overdraft."""

    credited: int = 0
    debited: int = 0

    @property
    def balance(self) -> int:
        """What is left."""
        return self.credited - self.debited


@dataclass(frozen=True, slots=True)
class BudgetView:
    """What a budget shows: every account, what was spent, and what does not count.

    ``unfunded`` are the debits that were not covered when they were written;
    ``overdrawn`` are the keys that spent on several branches what they had once.
    """

    accounts: Mapping[DeviceKey, Account]
    minted: int
    spent: int
    unfunded: tuple[Dot, ...]
    overdrawn: tuple[DeviceKey, ...]


def well_formed(mutation: Mutation) -> bool:
    """Whether a budget understands it: its arg is ``[amount, to, [cited dot, ...]]``.

    A mint cites nothing; what is spent goes to nobody.
    """
    movement = movement_of(mutation.arg)
    if movement is None or not movement.amount:
        return False
    if mutation.action == SPEND:
        return movement.to is None
    is_credit = mutation.action == TRANSFER or (
        mutation.action == MINT and not movement.cited
    )
    return is_credit and movement.to is not None


def movement_of(arg: Value) -> Movement | None:
    """What an arg moves, None if it is no movement."""
    match arg:
        case [int(amount), bytes() | None as to, list(rows)]:
            cited = tuple(Dot(row) for row in rows if type(row) is bytes)
            whole = len(cited) == len(rows) <= CREDITS_CITED_MAX
            if not is_amount(amount) or not whole:
                return None
            if to is not None and len(to) != ID_BYTES:
                return None
            if any(len(dot) != DOT_BYTES for dot in cited):
                return None
            return Movement(amount, None if to is None else DeviceKey(to), cited)
        case _:
            return None


def live(entries: Sequence[Entry]) -> list[Entry]:
    """All of them."""
    return in_order(entries)


def view(live: Collection[Entry], is_ancestor: IsAncestor) -> BudgetView:
    """What all movements come to."""
    books = _Books({entry.dot: entry for entry in in_order(live)}, is_ancestor)
    accounts: dict[DeviceKey, Account] = {}
    minted = spent = 0
    for dot in books.good():
        entry, movement = books.entries[dot], books.movements[dot]
        if entry.action == MINT:
            minted += movement.amount
        else:
            giver = accounts.get(entry.author, Account())
            debited = giver.debited + movement.amount
            accounts[entry.author] = Account(giver.credited, debited)
        if movement.to is None:
            spent += movement.amount
        else:
            taker = accounts.get(movement.to, Account())
            credited = taker.credited + movement.amount
            accounts[movement.to] = Account(credited, taker.debited)
    unfunded = tuple(dot for dot in books.entries if not books.funded[dot])
    overdrawn = sorted(key for key, account in accounts.items() if account.balance < 0)
    return BudgetView(accounts, minted, spent, unfunded, tuple(overdrawn))


class _Books:
    """Which movements are good; a movement rests on what it cites and on its chain."""

    def __init__(self, entries: Mapping[Dot, Entry], is_ancestor: IsAncestor) -> None:
        self.entries = entries
        self.movements = {
            dot: movement_of(entry.arg) or Movement(0, None, ())
            for dot, entry in entries.items()
        }
        self.funded: dict[Dot, bool] = {}
        self._is_ancestor = is_ancestor

    def good(self) -> list[Dot]:
        """The mints and the covered debits."""
        for dot in self.entries:
            self._settle(dot)
        return [dot for dot in self.entries if self.funded[dot]]

    def _settle(self, first: Dot) -> None:
        """Find out whether a movement is good, and first all that it rests on.

        There are no circles: citations are hashes, and a chain only goes back.
        """
        waiting = [first]
        while waiting:
            dot = waiting[-1]
            if dot in self.funded:
                waiting.pop()
                continue
            needed = [each for each in self._basis(dot) if each not in self.funded]
            if needed:
                waiting += needed
            else:
                self.funded[dot] = self._is_covered(dot)

    def _basis(self, dot: Dot) -> list[Dot]:
        """What it rests on: earlier debits of its chain, and what it cites."""
        if self.entries[dot].action == MINT:
            return []
        cited = [each for each in self.movements[dot].cited if each in self.entries]
        return [*self._earlier(dot), *cited]

    def _earlier(self, dot: Dot) -> list[Dot]:
        """The debits of the same author that come before it in its chain."""
        entry, op = self.entries[dot], op_of(dot)
        return [
            other.dot
            for other in self.entries.values()
            if other.author == entry.author
            and other.action != MINT
            and other.dot != dot
            and self._is_ancestor(op_of(other.dot), op)
            and (op_of(other.dot) != op or other.dot < dot)
        ]

    def _is_covered(self, dot: Dot) -> bool:
        entry = self.entries[dot]
        if entry.action == MINT:
            return True
        debits = [each for each in self._earlier(dot) if self.funded[each]]
        cited = {
            each for debit in [*debits, dot] for each in self.movements[debit].cited
        }
        credit = sum(
            self.movements[each].amount
            for each in cited
            if self.funded.get(each) and self.movements[each].to == entry.author
        )
        return credit >= sum(self.movements[each].amount for each in [*debits, dot])
