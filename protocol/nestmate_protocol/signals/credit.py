"""Credit: how much of the urgency an author asks for counts, as each receiver finds.

Credit binds only in relation to others. Each author has a bucket, counted in mean
signals: one is what the others ask for on average, each of them heard once, however
loudly it shouts. A signal takes out what it costs, also what the author's signed chain
says was spent where we did not hear it, but never more than a share of what is left, so
that a burst fades evenly and its last cry is not the first to be dropped. A bucket
fills as fast as others spend. Agents nobody here knows share a few buckets more, so
that a thousand new keys are worth no more than those few. This file knows no task and
keeps no record.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp
from typing import Final

from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import CARDS_KNOWN_MAX
from nestmate_protocol.signals.levels import (
    COST_BASE_CENTS,
    affordable_code,
    cost_cents,
)
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.reckoning import Standing
from nestmate_protocol.signals.records import Link

_CHAINS_PER_AUTHOR: Final = 4
_UNSEEN_MAX: Final = 16
_REVIEW_MS_MIN: Final = 1_000
_REVIEW_MS_PER_AUTHOR: Final = 50
_MS: Final = 1_000
_ROUNDING: Final = 1e-6


@dataclass(slots=True)
class _Account:
    """One author's bucket, what it asks for, and how far its chain was charged.

    ``level`` is in mean signals of ``unit`` cents each, at ``at_ms``; ``refill`` is
    in mean signals per ms. ``mean`` is what it asks for per task, over the last
    ``asks``, and ``paid`` what it got; ``spent`` fades with the window. ``unseen`` mean
    signals were taken out for records that have not come here.
    """

    address: Address
    level: float
    at_ms: int
    last: Link
    since_ms: int
    heard_ms: int
    unit: float
    refill: float
    mean: float
    paid: float
    is_known: bool
    asks: int = 1
    spent: float = 0.0
    unseen: float = 0.0
    others: dict[bytes, Link] | None = None


class Credits:
    """A bucket per author, bounded; those not heard of for longest are forgotten.

    ``trust`` in an agent is 0..1.
    """

    def __init__(self, rule: Rule, trust: Callable[[Address], float]) -> None:
        self._rule = rule
        self._trust = trust
        self._cap = float(rule.credit_cap_signals)
        self._accounts: dict[bytes, _Account] = {}
        self._unit = self._prior = float(rule.credit_mean_cents)
        self._refill = 1 / (rule.service_seconds_prior * _MS)
        self._pool = self._pool_cap = self._cap * rule.credit_strangers
        self._pool_ms = 0
        self._reviewed_ms = 0
        self._review_ms = 0

    def __repr__(self) -> str:
        return f"<Credits of {len(self._accounts)}>"

    def left(self, author: Address, now_ms: int) -> float:
        """What an author could spend now, in mean signals."""
        account = self._accounts.get(author.raw)
        return self._cap if account is None else self._filled(account, now_ms)

    def standings(self, now_ms: int) -> Iterator[Standing]:
        """Everybody of whom something is known."""
        for account in self._accounts.values():
            left = self._filled(account, now_ms)
            yield Standing(
                account.address,
                left,
                self._cap,
                account.mean,
                account.paid,
                account.unit,
                account.is_known,
            )

    def blank(self, author: Address) -> Standing:
        """Somebody of whom nothing is known."""
        cap, prior, unit = self._cap, self._prior, self._unit
        return Standing(author, cap, cap, prior, prior, unit, self._is_known(author))

    def counts(
        self,
        author: Address,
        _: TaskId,
        link: Link,
        code: int,
        *,
        already: int,
        now_ms: int,
    ) -> int:
        """How urgent an author can afford its share to be.

        ``already`` is the code it has paid for on the same task before, -1 for none.
        """
        asked = cost_cents(code)
        if already >= 0:
            asked = COST_BASE_CENTS + max(0, asked - cost_cents(already))
        paid = self.charge(author, link, asked, now_ms, opens=already < 0)
        return code if paid >= asked else worth(code, paid, asked)

    def charge(
        self, author: Address, link: Link, asked: int, now_ms: int, *, opens: bool
    ) -> int:
        """Take out what a record new to us costs; how many cents of it were paid.

        ``opens`` tells that it asks for something new and is no repetition.
        """
        if now_ms >= self._review_ms:
            self._review(now_ms)
        account = self._accounts.get(author.raw)
        if account is None:
            account = self._open(author, link, asked, now_ms)
        elif now_ms > account.at_ms:
            account.level = self._filled(account, now_ms)
            account.at_ms = account.heard_ms = now_ms
        if opens:
            if account.asks < self._rule.credit_asks:
                account.asks += 1
            account.mean += (asked - account.mean) / account.asks
        account.spent += asked
        last = account.last
        told = 0.0
        if (
            link.seq == last.seq + 1
            and link.spent <= last.spent + asked
            and link.incarnation == last.incarnation
        ):
            account.last = link
        else:
            told = self._elsewhere(account, link, asked)
        units = asked / account.unit - told
        level, rule = account.level, self._rule
        most = max(level / rule.credit_shares, min(level, rule.credit_least_signals))
        if not account.is_known:
            most = min(most, self._strangers_most(now_ms))
        units = min(units, most)
        account.level -= units
        if not account.is_known:
            self._pool -= units
        paid = int((told + units) * account.unit + _ROUNDING)
        if opens:
            account.paid += (paid - account.paid) / account.asks
        return paid

    def forget(self, author: Address) -> None:
        """Keep no account of an author."""
        self._accounts.pop(author.raw, None)

    def _open(self, author: Address, link: Link, asked: int, now_ms: int) -> _Account:
        """A new author's bucket is full; what it spent before is its own affair."""
        while len(self._accounts) >= CARDS_KNOWN_MAX:
            del self._accounts[min(self._accounts, key=self._heard_ms)]
        account = _Account(
            address=author,
            level=self._cap,
            at_ms=now_ms,
            last=Link(link.incarnation, link.seq - 1, None, link.spent - asked),
            since_ms=now_ms,
            heard_ms=now_ms,
            unit=self._unit,
            refill=self._refill,
            mean=self._prior,
            paid=self._prior,
            is_known=self._is_known(author),
        )
        self._accounts[author.raw] = account
        return account

    def _elsewhere(self, account: _Account, link: Link, asked: int) -> float:
        """Take out what was spent where we did not hear it.

        For a record that comes late this is given back: the mean signals that were
        taken out for it before.
        """
        last = account.last
        others = account.others
        if link.incarnation != last.incarnation:
            if others is None:
                others = account.others = {}
            others[last.incarnation] = last
            last = others.pop(link.incarnation, Link(link.incarnation, 0, None, 0))
            while len(others) > _CHAINS_PER_AUTHOR:
                del others[next(iter(others))]
        if link.seq <= last.seq:
            account.last = last
            told = min(account.unseen, asked / account.unit)
            account.unseen -= told
            return told
        account.last = link
        cents = max(0, link.spent - last.spent - asked)
        count = min(_UNSEEN_MAX, max(1, link.seq - last.seq - 1))
        kept = (1 - 1 / self._rule.credit_shares) ** count
        units = min(cents / account.unit, account.level * (1 - kept))
        account.level -= units
        account.unseen += units
        account.spent += min(cents, units * account.unit)
        return 0.0

    def _filled(self, account: _Account, now_ms: int) -> float:
        passed_ms = max(0, now_ms - account.at_ms)
        return min(self._cap, account.level + account.refill * passed_ms)

    def _strangers_most(self, now_ms: int) -> float:
        """What a stranger may take at most out of what all strangers share."""
        passed_ms = max(0, now_ms - self._pool_ms)
        refill = self._refill * self._rule.credit_strangers
        self._pool = min(self._pool_cap, self._pool + refill * passed_ms)
        self._pool_ms = now_ms
        return self._pool / self._rule.credit_shares

    def _is_known(self, author: Address) -> bool:
        return self._trust(author) >= self._rule.credit_known_trust

    def _heard_ms(self, raw: bytes) -> int:
        return self._accounts[raw].heard_ms

    def _review(self, now_ms: int) -> None:
        """Find anew what others ask for and spend, for everybody."""
        window = self._rule.credit_window_ms
        fade = exp(-max(0, now_ms - self._reviewed_ms) / window)
        accounts = list(self._accounts.values())
        self._reviewed_ms = now_ms
        pause_ms = max(_REVIEW_MS_MIN, _REVIEW_MS_PER_AUTHOR * len(accounts))
        self._review_ms = now_ms + pause_ms
        means, rates = [self._prior], [self._prior / self._rule.service_seconds_prior]
        voices: dict[bytes, float] = {}
        strangers = 0
        for account in accounts:
            account.level = self._filled(account, now_ms)
            account.at_ms = max(account.at_ms, now_ms)
            account.spent *= fade
            account.is_known = self._is_known(account.address)
            if now_ms - account.heard_ms > window:
                continue
            strangers += not account.is_known
            if account.is_known or strangers <= self._rule.credit_strangers:
                voices[account.address.raw] = rate = self._rate(account, now_ms)
                means.append(account.mean)
                rates.append(rate)
        means.sort()
        rates.sort()
        self._unit = max(self._prior, _middle(means))
        self._refill = _middle(rates) / self._unit / _MS
        for account in accounts:
            own = voices.get(account.address.raw)
            if own is None:
                account.unit, account.refill = self._unit, self._refill
            else:
                unit = max(self._prior, _middle_of_others(means, account.mean))
                rate = _middle_of_others(rates, own)
                account.unit, account.refill = unit, rate / unit / _MS

    def _rate(self, account: _Account, now_ms: int) -> float:
        """Cents per second an author asks for; one mean signal stands before all."""
        window = self._rule.credit_window_ms
        age_ms = window * (1 - exp(-(now_ms - account.since_ms) / window))
        seconds = age_ms / _MS + self._rule.service_seconds_prior
        return (account.spent + self._prior) / seconds


def worth(code: int, paid: int, asked: int) -> int:
    """The urgency code that counts, where ``paid`` of the cents asked for were paid.

    What was paid before for the same task counts as paid.
    """
    if paid >= asked:
        return code
    return min(code, affordable_code(cost_cents(code) - asked + paid))


def _middle(ordered: list[float]) -> float:
    """The median; of two in the middle the larger."""
    return ordered[len(ordered) // 2]


def _middle_of_others(ordered: list[float], own: float) -> float:
    """The same without one of them."""
    middle = (len(ordered) - 1) // 2
    return ordered[middle + 1 if bisect_left(ordered, own) <= middle else middle]
