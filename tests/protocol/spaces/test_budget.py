"""Budgets: nobody spends twice what it got once, and who forks to try is shown."""

from dataclasses import dataclass, field

import pytest

from nestmate_protocol.spaces.ops import op_of
from nestmate_protocol.spaces.types import budget
from nestmate_protocol.spaces.types.budget import MINT, SPEND, TRANSFER


@dataclass
class Ledger:
    """Movements of a budget; everybody keeps to one chain, unless told ``after``."""

    pen: object
    key: object
    before: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    entries: list = field(default_factory=list)

    def move(self, who, action, amount, to=None, cited=(), **place):
        arg = [amount, to and self.key(to).raw, [each.dot for each in cited]]
        entry = self.pen(who, action=action, arg=arg)
        after = place.get("after", self.last.get(who))
        self.before[op_of(entry.dot)] = after and op_of(after.dot)
        self.last[who] = entry
        self.entries.append(entry)
        return entry

    def is_ancestor(self, one, other):
        while other is not None and other != one:
            other = self.before[other]
        return other is not None

    def view(self):
        return budget.view(self.entries, self.is_ancestor)

    def balance(self, who):
        return self.view().accounts[self.key(who)].balance


@pytest.fixture
def ledger(pen, key):
    return Ledger(pen, key)


def test_money_goes_from_hand_to_hand_and_none_is_lost(ledger, key):
    mint = ledger.move("ann", MINT, 10, "bob")
    paid = ledger.move("bob", TRANSFER, 7, "cid", [mint])
    ledger.move("cid", SPEND, 4, cited=[paid])
    ledger.move("bob", SPEND, 3)
    view = ledger.view()
    assert (view.minted, view.spent, view.unfunded) == (10, 7, ())
    assert (ledger.balance("bob"), ledger.balance("cid")) == (0, 3)


def test_a_debit_that_is_not_covered_does_not_count(ledger):
    mint = ledger.move("ann", MINT, 10, "bob")
    ledger.move("bob", SPEND, 8, cited=[mint])
    again = ledger.move("bob", SPEND, 3, cited=[mint])
    assert ledger.view().unfunded == (again.dot,)
    assert ledger.balance("bob") == 2


def test_nobody_pays_from_what_another_got(ledger):
    mint = ledger.move("ann", MINT, 10, "bob")
    theft = ledger.move("cid", SPEND, 1, cited=[mint])
    assert ledger.view().unfunded == (theft.dot,)


def test_what_was_paid_from_nothing_pays_for_nothing(ledger):
    empty = ledger.move("bob", TRANSFER, 5, "cid")
    spent = ledger.move("cid", SPEND, 5, cited=[empty])
    assert set(ledger.view().unfunded) == {empty.dot, spent.dot}


def test_a_credit_that_is_void_voids_what_it_paid_for(ledger):
    mint = ledger.move("ann", MINT, 10, "bob")
    paid = ledger.move("bob", TRANSFER, 7, "cid", [mint])
    ledger.move("cid", SPEND, 4, cited=[paid])
    ledger.entries.remove(mint)
    assert len(ledger.view().unfunded) == 2


def test_who_spends_on_two_branches_is_shown_to_be_overdrawn(ledger, key):
    mint = ledger.move("ann", MINT, 10, "bob")
    ledger.move("bob", TRANSFER, 9, "cid", [mint])
    ledger.move("bob", TRANSFER, 9, "dan", [mint], after=None)
    view = ledger.view()
    assert view.overdrawn == (key("bob"),)
    assert [ledger.balance(who) for who in ("bob", "cid", "dan")] == [-8, 9, 9]
