"""Canaries: bugs planted one at a time must be found within a few seeds.

Each is the real core with one rule broken. A simulation that overlooks one of them
proves nothing by being quiet, so such a test fails. The looking begins at a seed that
is known to show the bug, lest every run pay for the quiet seeds before it.
"""

from dataclasses import replace

import pytest

from nestmate_protocol import records
from nestmate_protocol.core import Core
from nestmate_protocol.effects import Save
from nestmate_protocol.friends.contacts import Contacts
from nestmate_protocol.signals.clerk import Clerk
from nestmate_protocol.signals.council import Council
from nestmate_protocol.signals.credit import Credits
from nestmate_protocol.signals.digest import Digest
from nestmate_protocol.signals.issuer import Issuer
from nestmate_protocol.signals.liars import Liars
from nestmate_protocol.signals.orphans import Orphans
from nestmate_protocol.signals.outcomes import ToNeighbours
from nestmate_protocol.signals.polls import Polls
from nestmate_protocol.signals.requests import TaskStatus
from nestmate_protocol.signals.stock import Stock
from nestmate_protocol.signals.votes import Decision
from nestmate_protocol.simulation import agents, run

SEEDS_MAX = 40


class SkipsTheFence(Issuer):
    """Takes a result from anybody, under any generation."""

    def finished(self, result, now):
        own = self.tasks.get(result.task.raw)
        if own is not None and own.status is TaskStatus.GRANTED:
            changed = {"holder": result.worker, "generation": result.generation}
            self.tasks[own.task.raw] = replace(own, **changed)
        return super().finished(result, now)


class LeasesTwice(Issuer):
    """Gives a task that is held to the next one who asks, under the same fence."""

    def claimed(self, claim, now):
        own = self.tasks.get(claim.task.raw)
        if own is not None and own.status is TaskStatus.GRANTED:
            self.tasks[own.task.raw] = replace(own, status=TaskStatus.OPEN)
        return super().claimed(claim, now)


class KeepsTheFence(Issuer):
    """Opens a task again without a higher fence."""

    def _reopen(self, own, reason, now):
        return super()._reopen(replace(own, generation=own.generation - 1), reason, now)


class SharesTheExclusive(Issuer):
    """Takes an exclusive task from a holder that fell silent, as any other."""

    def _lapse(self, own, holder, now):
        return self._reopen(own, "the lease lapsed", now)


class ForgetsTheLapse(Issuer):
    """Never takes a lease away from a holder who fell silent."""

    def _lapse(self, own, holder, now):
        return []


class ForgetsTheBeat(Issuer):
    """Never hears that a holder is still at work."""

    def beaten(self, beat, now):
        return []


class TakesASecondResult(Issuer):
    """Takes a result for a task that is done already."""

    def finished(self, result, now):
        own = self.tasks.get(result.task.raw)
        if own is not None and own.status is TaskStatus.DONE:
            changed = {"holder": result.worker, "generation": result.generation}
            self.tasks[own.task.raw] = replace(
                own, status=TaskStatus.GRANTED, **changed
            )
        return super().finished(result, now)


class ReusesTheReceipt(Issuer):
    """Thanks whoever asks for the result somebody else handed in."""

    def answer(self, task, worker, generation, now):
        own = self.tasks.get(task.raw)
        if own is not None and own.status is TaskStatus.DONE:
            self.tasks[task.raw] = replace(own, holder=worker)
        return super().answer(task, worker, generation, now)


class SettlesAtOnce(Orphans):
    """Begins to work as soon as it has claimed to the topic."""

    def _go_on(self, task, now):
        steps = super()._go_on(task, now)
        attempt = self._attempts.get(task.raw)
        said = attempt is not None and attempt.said
        return steps + super()._go_on(task, now) if said else steps


class IgnoresRivals(Orphans):
    """Begins and goes on whoever else is at the task."""

    def heard(self, word, heard, now):
        return []


class VotesForAll(Council):
    """Votes for everybody who asks, in the same round."""

    def _asked(self, task, worker, now):
        ballot = self.clerk.ballot(task, now)
        if ballot is None or ballot.over:
            return []
        mine = replace(ballot, voted=ballot.round, holder=worker)
        return self._vote(mine, now)


class NeedsOneVote(Polls):
    """Takes one vote for a decision."""

    def decision(self, task):
        votes = [v for v in self._votes.get(task.raw, {}).values() if v[0].holder]
        last = max(votes, key=lambda v: v[0].generation, default=None)
        return last and Decision(last[0].generation, last[0].holder, (last[1],))


class ForgetsItsVote(Clerk):
    """Knows what it voted until the next restart."""

    def keep(self, ballot):
        super().keep(ballot)
        return Save(())


class MissesNothing(Stock):
    """Takes every input for one that is here."""

    def missing(self, own):
        return ()


class TellsNoEnd(Digest):
    """Leaves those who heard a call in the belief that it is open."""

    def wake(self, now):
        super().wake(now)
        return []


class ShowsBeforeItSaves(Core):
    """Tells the world first and its disk afterwards."""

    def handle(self, item, now):
        effects = super().handle(item, now)
        return sorted(effects, key=lambda effect: isinstance(effect, Save))


class AcksBeforeItSyncs(Core):
    """Says that a write of a space is durable while the disk may still lose it."""

    def handle(self, item, now):
        return [
            Save(effect.writes, durable=False)
            if isinstance(effect, Save)
            and any(k[:2] == b"o/" for k, _ in effect.writes)
            else effect
            for effect in super().handle(item, now)
        ]


class NeverSavesContacts(Contacts):
    """Knows its friends until the next restart."""

    def put(self, contact):
        return super().put(contact)[0], Save(())


class TakesNoCredit(Credits):
    """Lets everybody call everything urgent."""

    def charge(self, author, link, asked, now_ms, *, opens):
        level = self.left(author, now_ms)
        super().charge(author, link, asked, now_ms, opens=opens)
        self._accounts[author.raw].level = level
        return asked


class SpendsWhatIsNotThere(Credits):
    """Takes out of a bucket whatever is asked for."""

    def charge(self, author, link, asked, now_ms, *, opens):
        level = self.left(author, now_ms)
        paid = super().charge(author, link, asked, now_ms, opens=opens)
        account = self._accounts[author.raw]
        account.level = level - asked / account.unit
        return paid


class TellsNoProof(Liars):
    """Finds out who lied and keeps it to itself."""

    def _convict(self, *lie):
        steps = super()._convict(*lie)
        return [step for step in steps if not isinstance(step, ToNeighbours)]


class ForgetsTheProof(Liars):
    """Knows who lied until the next restart."""

    def _convict(self, *lie):
        return [o for o in super()._convict(*lie) if not isinstance(o, Save)]


class TellsNoHeads(Liars):
    """Keeps to itself where chains end."""

    def wake(self, now):
        super().wake(now)
        return []


def with_credits(kind):
    """A core that counts credit in its own way."""

    def make(*parts):
        core = Core(*parts)
        core._board._field.reckoning.__class__ = kind
        return core

    return make


def with_liars(kind):
    """A core that is careless about liars."""

    def make(*parts):
        core = Core(*parts)
        core._board.liars.__class__ = kind
        return core

    return make


def with_issuer(kind):
    """A core whose issuer breaks a rule."""

    def make(*parts):
        core = Core(*parts)
        core._board._issuer.__class__ = kind
        return core

    return make


def with_orphans(kind):
    """A core that settles in its own way."""

    def make(*parts):
        core = Core(*parts)
        core._board._orphans.__class__ = kind
        return core

    return make


def with_digest(*parts):
    core = Core(*parts)
    core._board._digest.__class__ = TellsNoEnd
    return core


def with_council(kind):
    """A core that votes in its own way."""

    def make(*parts):
        core = Core(*parts)
        core._board._council.__class__ = kind
        return core

    return make


def with_clerk(kind):
    """A core that remembers votes in its own way."""

    def make(*parts):
        core = Core(*parts)
        core._board._clerk.__class__ = kind
        return core

    return make


def with_polls(kind):
    """A core that counts votes in its own way."""

    def make(*parts):
        core = Core(*parts)
        core._board._clerk.polls.__class__ = kind
        return core

    return make


def with_stock(*parts):
    core = Core(*parts)
    core._board._issuer.stock.__class__ = MissesNothing
    return core


def with_contacts(*parts):
    core = Core(*parts)
    core._contacts.__class__ = NeverSavesContacts
    return core


def must_be_found(figure, make_core, scenario, *sentences, first=0):
    """Look at seeds until one complains; it must complain of the planted bug."""
    for seed in range(first, first + SEEDS_MAX):
        report = run(scenario, 5, seed, make_core=make_core)
        if not report.ok:
            first = report.broken[0]
            assert any(each in first for each in sentences), "\n".join(report.lines())
            figure(f"found by seed {seed}: {first}")
            return
    pytest.fail(f"not found in {SEEDS_MAX} seeds of {scenario}")


@pytest.mark.parametrize(
    ("issuer", "scenario", "first", "sentences"),
    [
        (SkipsTheFence, "swarm", 3, ["takes a result"]),
        (LeasesTwice, "partition", 1, ["generation"]),
        (KeepsTheFence, "crashes", 0, ["to n", "strikes honest"]),
        (SharesTheExclusive, "skew", 9, ["is exclusive"]),
        (ForgetsTheLapse, "crashes", 0, ["is still granted"]),
        (ForgetsTheBeat, "calm", 0, ["although it beats"]),
        (TakesASecondResult, "partition", 1, ["second result", "is still granted"]),
        (ReusesTheReceipt, "crashes", 0, ["second result", "never held"]),
    ],
)
def test_an_issuer_that_breaks_a_rule_is_found(
    figure, issuer, scenario, first, sentences
):
    must_be_found(figure, with_issuer(issuer), scenario, *sentences, first=first)


@pytest.mark.parametrize(
    ("orphans", "first", "sentence"),
    [
        (SettlesAtOnce, 5, "before it is settled"),
        (IgnoresRivals, 24, "long after they met"),
    ],
)
def test_workers_that_settle_without_care_are_found(figure, orphans, first, sentence):
    must_be_found(figure, with_orphans(orphans), "orphans", sentence, first=first)


@pytest.mark.parametrize(
    ("make_core", "first", "sentence"),
    [
        (with_council(VotesForAll), 0, "votes twice"),
        (with_clerk(ForgetsItsVote), 7, "votes twice"),
        (with_polls(NeedsOneVote), 0, "without two votes"),
    ],
)
def test_delegates_that_break_a_rule_are_found(figure, make_core, first, sentence):
    must_be_found(figure, make_core, "delegates", sentence, first=first)


def test_a_core_that_shows_before_it_saves_is_found(figure):
    sentences = ("forg", "after", "hold", "to n")
    must_be_found(figure, ShowsBeforeItSaves, "crashes", *sentences, first=38)


def test_a_core_that_acks_a_write_before_it_is_synced_is_found(figure):
    must_be_found(figure, AcksBeforeItSyncs, "spaces", "acknowledged", "differ")


def test_a_contact_that_is_not_saved_is_found(figure):
    must_be_found(figure, with_contacts, "crashes", "does not know")


@pytest.mark.parametrize(
    ("credits_kept", "sentence"),
    [
        (TakesNoCredit, "takes no credit"),
        (SpendsWhatIsNotThere, "has -"),
    ],
)
def test_a_core_that_miscounts_credit_is_found(figure, credits_kept, sentence):
    must_be_found(figure, with_credits(credits_kept), "calm", sentence)


@pytest.mark.parametrize("kind", [ForgetsTheProof, TellsNoHeads, TellsNoProof])
def test_a_core_that_is_careless_about_liars_is_found(figure, kind):
    must_be_found(figure, with_liars(kind), "calm", "lied")


def test_an_issuer_that_does_not_retire_its_calls_is_found(figure):
    must_be_found(figure, with_digest, "calm", "lists")


def test_an_issuer_that_waits_for_no_input_is_found(figure):
    must_be_found(figure, with_stock, "calm", "with an input that", first=6)


def test_a_core_that_takes_unsigned_records_is_found(figure, monkeypatch):
    monkeypatch.setattr(records, "verify", lambda *_: None)
    # Unsigned contradictions can also silence an honest node for good.
    sentences = ("never made", "never held", "strikes honest", "is still open")
    must_be_found(figure, Core, "hostile", *sentences, first=4)


def test_an_agent_that_puts_down_whatever_it_does_is_found(figure, monkeypatch):
    monkeypatch.setattr(agents, "makes_way", lambda _: True)
    must_be_found(figure, Core, "rush", "makes way, although")


@pytest.mark.parametrize(("scenario", "seed"), [("orphans", 24), ("crashes", 38)])
def test_nothing_is_found_where_no_bug_is_planted(scenario, seed):
    """The first seeds of all others are among those of test_scenarios."""
    assert run(scenario, 5, seed).ok
