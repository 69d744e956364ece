"""Credit: crying wolf is worth what was paid for it, and a double book is proved."""

from dataclasses import replace

import pytest

from nestmate_protocol.ids import Address
from nestmate_protocol.signals.credit import Credits, worth
from nestmate_protocol.signals.levels import affordable_code, cost_cents
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.records import Link
from nestmate_protocol.signals.requests import DepositTask, ShowTask

JOB = DepositTask("dig", 0.5, b"a hole")
SLOW, ALERT, FLASH, SHOUT = (cost_cents(code) for code in (0, 32, 64, 127))
MIX = (SLOW, SLOW, ALERT, SLOW, ALERT, SLOW, FLASH, SLOW, ALERT, SLOW)
SHARE = 1 / RULE.credit_shares
ANN, BOB, CID = (Address(name * 32) for name in (b"a", b"b", b"c"))


class Books:
    """A receiver, and the chains of those it hears."""

    def __init__(self, trust=1.0):
        self.trust = trust
        self.credits = Credits(RULE, lambda _: self.trust)
        self.spent, self.seq, self.now_ms = {}, {}, 1_000

    def link(self, cents, author=ANN, incarnation=b"i"):
        """The author's next link; what it costs is only said, not heard."""
        self.seq[author] = self.seq.get(author, 0) + 1
        self.spent[author] = self.spent.get(author, 0) + cents
        return Link(incarnation * 16, self.seq[author], None, self.spent[author])

    def see(self, link, cents=FLASH, author=ANN, opens=True):
        """How many cents of what a link costs were paid."""
        return self.credits.charge(author, link, cents, self.now_ms, opens=opens)

    def say(self, cents, author=ANN):
        return self.see(self.link(cents, author), cents, author)

    def left(self, author=ANN):
        return self.credits.left(author, self.now_ms)

    def wait(self, seconds):
        self.now_ms += round(1_000 * seconds)


@pytest.fixture
def books():
    return Books()


def test_a_code_is_affordable_exactly_from_its_cost_on():
    for code in range(128):
        assert affordable_code(cost_cents(code)) == code
        assert affordable_code(cost_cents(code) - 1) == max(0, code - 1)


def test_who_shouts_all_the_time_is_served_as_far_as_its_credit_goes(books):
    codes = [worth(127, books.say(SHOUT), SHOUT) for _ in range(40)]
    assert codes == sorted(codes, reverse=True)
    assert codes[3] >= 64  # a few flash tasks are let in as such
    assert codes[-1] < 8
    assert books.left() < 0.1
    assert books.left(BOB) == RULE.credit_cap_signals


def test_an_average_mix_never_feels_the_bucket(books):
    for _ in range(20):
        for cents in MIX:
            books.wait(RULE.service_seconds_prior)
            assert books.say(cents) == cents


def test_a_burst_fades_evenly_and_leaves_its_last_cry_above_alerts(books):
    codes = [worth(114, books.say(cost_cents(114)), cost_cents(114)) for _ in range(5)]
    assert min(codes) > 40


def test_where_everybody_asks_for_much_nobody_feels_the_bucket(books):
    loud = cost_cents(121)
    for _ in range(3):
        assert books.say(SLOW) + books.say(SLOW, BOB) == 2 * SLOW
    books.say(loud, BOB)
    books.say(loud, BOB)
    books.wait(2)
    for _ in range(5):
        assert books.say(loud) == loud


def crowd(books, size, mix=MIX):
    """So many authors with an average mix, heard for a while."""
    others = [Address(bytes([number]) * 32) for number in range(size)]
    for cents in mix:
        for other in others:
            books.say(cents, other)
        books.wait(20)
    return others


@pytest.mark.parametrize("liars", [1, 4])
def test_a_fifth_of_all_cannot_raise_what_counts_as_average(books, liars):
    crowd(books, 16)
    honest = books.credits._accounts[bytes(32)].unit
    shouting = [Address(bytes([200 + number]) * 32) for number in range(liars)]
    for _ in range(30):
        for liar in shouting:
            books.say(SHOUT, liar)
        books.wait(5)
    standings = {each.address: each for each in books.credits.standings(books.now_ms)}
    assert standings[shouting[0]].mean_cents <= 2 * max(245, honest)
    assert standings[shouting[0]].left < 2


def test_two_shouters_cannot_lift_each_other_among_three_honest(books):
    crowd(books, 3)
    for _ in range(30):
        books.say(SHOUT, ANN)
        books.say(SHOUT, BOB)
        books.wait(2)
    assert books.left(ANN) < 2
    assert worth(127, books.say(SHOUT, ANN), SHOUT) < 64


def test_credit_comes_back_with_time_and_not_beyond_its_cap(books):
    for _ in range(20):
        books.say(SHOUT)
    low = books.left()
    books.wait(60)
    assert books.left() > low + 2
    books.wait(10**6)
    assert books.left() == RULE.credit_cap_signals


def test_what_was_said_to_others_is_paid_here_too(books):
    books.say(FLASH)
    for _ in range(10):
        books.link(SHOUT)
    last = books.link(SHOUT)
    assert books.see(last, SHOUT) < FLASH


def test_a_record_that_comes_late_is_paid_once(books):
    books.say(FLASH)
    late, early = books.link(FLASH), books.link(FLASH)
    books.see(early)
    before = books.left()
    assert books.see(late) == FLASH
    assert books.left() == before


def test_two_devices_of_one_agent_each_have_their_chain(books):
    books.say(FLASH)
    other = [Link(b"j" * 16, 50 + n, None, FLASH * n) for n in (1, 2, 3)]
    mine = [books.link(SLOW) for _ in other]
    before = books.left()
    for one, two in zip(mine, other, strict=True):
        books.see(one, SLOW)
        books.see(two, FLASH)
    spent = (3 * FLASH + 3 * SLOW) / RULE.credit_mean_cents
    assert books.left() == pytest.approx(before - spent)


def test_whoever_writes_down_too_little_pays_what_it_costs(books):
    paid = [books.see(books.link(0)) for _ in range(40)]
    assert paid[-1] < FLASH


def test_a_bucket_is_never_negative_whatever_a_chain_says(books):
    books.say(FLASH)
    books.see(books.link(10**15))
    assert 0 <= books.left() < RULE.credit_cap_signals * (1 - SHARE)
    for _ in range(40):
        books.say(10**9)
    books.see(Link(b"k" * 16, 10**9, None, 10**15))
    assert 0 <= books.left() < 1


def test_the_first_word_of_an_author_costs_only_itself(books):
    books.spent[ANN] = 10**9
    assert books.say(FLASH) == FLASH


def test_strangers_share_a_few_buckets_however_many_they_are():
    few, many = Books(trust=0.5), Books(trust=0.5)
    for number in range(RULE.credit_strangers):
        assert few.say(FLASH, Address(bytes([number]) * 32)) == FLASH
    paid = [
        many.say(SHOUT, Address(number.to_bytes(32)))
        for number in range(1, 1_000)
        for _ in range(3)
    ]
    cap = RULE.credit_strangers * RULE.credit_cap_signals * RULE.credit_mean_cents
    assert sum(paid) <= cap
    many.trust = 1.0
    many.wait(60)
    assert many.say(FLASH, Address(b"z" * 32)) == FLASH


# --- on the board


def test_a_node_that_shouts_is_shown_with_what_it_could_pay(town, ann, bob):
    jobs = [replace(JOB, urgency=1.0, key=b"%d" % number) for number in range(15)]
    views = [bob.ask(ShowTask(ann.ask(job).task)) for job in jobs]
    assert views[0].urgency == views[-1].urgency == 1.0
    assert views[0].urgency_paid > 0.5
    assert views[-1].urgency_paid < 0.25
    assert views[-1].strength < views[0].strength / 4
    assert views[0].credit > views[-1].credit >= 0
    assert ann.ask(ShowTask(views[-1].task)).credit is None
