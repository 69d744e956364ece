"""Ranks: a call is worth its place among its author's own, however loud it is."""

from dataclasses import replace
from itertools import count

import pytest

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import CARDS_KNOWN_MAX
from nestmate_protocol.signals.levels import cost_cents, value_of
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.ranks import USUAL_MIX, Ranks
from nestmate_protocol.signals.records import Link
from nestmate_protocol.signals.requests import (
    DepositTask,
    ExplainClaim,
    ListAuthors,
    ShowTask,
    TakeTask,
)

JOB = DepositTask("dig", 1.0, b"a hole")
SLOW, ALERT, FLASH, SHOUT = 0, 32, 64, 127
MIX = (SLOW, SLOW, ALERT, SLOW, ALERT, SLOW, FLASH, SLOW, ALERT, SLOW)
ANN, BOB = Address(b"a" * 32), Address(b"b" * 32)
AVERAGE = sum(share * value_of(code) for code, share in USUAL_MIX)
LINK = Link(b"i" * 16, 1, None, 0)


class Ears:
    """A receiver, and what it made of everything it heard."""

    def __init__(self):
        self.ranks = Ranks(RULE)
        self.tasks = count()

    def hear(self, code, author=ANN, task=None, already=-1):
        """Which urgency counts of a call; without a task it is for a new one."""
        number = next(self.tasks) if task is None else task
        named = TaskId(number.to_bytes(32))
        counted = self.ranks.counts(
            author, named, LINK, code, already=already, now_ms=0
        )
        return counted if task is not None else value_of(counted)

    def hears(self, codes, author=ANN):
        return [self.hear(code, author) for code in codes]


@pytest.fixture
def ears():
    return Ears()


def near(value):
    return pytest.approx(value, rel=0.1)


def test_who_calls_as_is_usual_is_taken_at_its_word(ears):
    ears.hears(MIX * 8)
    heard = ears.hears(MIX)
    assert heard == [near(value_of(code)) for code in MIX]


@pytest.mark.parametrize("code", [SLOW, FLASH, SHOUT])
def test_whoever_always_says_the_same_is_worth_the_average(ears, code):
    ears.hears([code] * RULE.rank_tasks)
    assert ears.hear(code) == near(AVERAGE)
    assert cost_cents(ALERT) > 100 * (AVERAGE - 1) > cost_cents(SLOW)


def test_only_the_order_of_calls_counts_and_not_how_loud_they_are(ears):
    loud = {SLOW: 40, ALERT: 90, FLASH: SHOUT}
    ears.hears(MIX * 4)
    ears.hears([loud[code] for code in MIX * 4], BOB)
    for code in MIX:
        assert ears.hear(loud[code], BOB) == ears.hear(code)


def test_the_first_flash_of_a_newcomer_is_one_and_the_tenth_is_not(ears):
    heard = ears.hears([FLASH] * 10)
    assert heard[0] > value_of(FLASH) / 2
    assert heard == sorted(heard, reverse=True)
    assert heard[-1] < value_of(FLASH) / 2


def test_a_repetition_is_no_call_and_changes_nothing(ears):
    first = ears.hear(FLASH, task=900)
    ears.hears([FLASH] * 5)
    assert ears.hear(FLASH, task=900, already=first) == first


def test_asking_for_more_takes_the_place_of_the_call_before(ears):
    """So nobody gets flashes out of slow calls that are raised one by one."""
    for task in range(1_000, 1_000 + RULE.rank_tasks):
        ears.hear(SLOW, task=task)
    for task in range(1_000, 1_000 + RULE.rank_tasks):
        last = ears.hear(FLASH, task=task, already=SLOW)
    assert value_of(last) == near(AVERAGE)


def test_what_is_shown_is_what_was_asked_and_what_counted(ears):
    ears.hears([SHOUT] * RULE.rank_tasks)
    (ann,) = ears.ranks.standings(0)
    assert (ann.left, ann.cap, ears.ranks.left(ANN, 0)) == (0, 0, None)
    assert ann.asks_cents == cost_cents(SHOUT)
    assert ann.mean_cents == RULE.credit_mean_cents < ann.paid_cents
    assert ears.ranks.blank(BOB).asks_cents == ann.mean_cents


def test_who_was_silent_for_longest_is_forgotten_first(ears):
    for number in range(CARDS_KNOWN_MAX + 1):
        ears.hear(SLOW, Address(number.to_bytes(32)))
    known = {each.address for each in ears.ranks.standings(0)}
    assert len(known) == CARDS_KNOWN_MAX
    assert Address(bytes(32)) not in known


# --- on the board


def test_a_node_that_ranks_shows_what_counts_and_no_credit(town, ann, bob):
    bob.rule = replace(RULE, urgency_by_rank=True)
    bob.boot()
    jobs = [replace(JOB, key=b"%d" % number) for number in range(15)]
    views = [bob.ask(ShowTask(ann.ask(job).task)) for job in jobs]
    assert (views[0].urgency, views[0].credit) == (1.0, None)
    assert views[0].urgency_paid == 0.5 > views[-1].urgency_paid > 0.25
    (shown,) = bob.ask(ListAuthors()).authors
    assert (shown.address, shown.credit, shown.credit_max) == (ann.address, 0, 0)
    assert shown.asked > 0.9 > shown.counted > shown.usual


def test_why_a_shout_does_not_count_is_told_by_who_ranks(town, ann, bob):
    bob.rule = replace(RULE, urgency_by_rank=True)
    bob.boot()
    bob.ask(TakeTask(skill="dig", speed=0.1))
    tasks = [ann.ask(replace(JOB, key=b"%d" % number)).task for number in range(9)]
    told = [bob.ask(ExplainClaim(task)).sentence for task in tasks]
    assert any("too many of its issuer's last calls" in each for each in told)
