"""The field: which tasks are sensed here, how strongly, and how they fade.

Everything kept is joined. Joins are commutative, associative and idempotent, so that
order, loss and duplication of news do not matter. The field takes in what is bounded
and fresh and knows nothing of who answers a call.
"""

from collections.abc import Callable, Iterator
from enum import Enum, unique
from typing import Final, TypeVar

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    EARLY_RECORDS_PER_TASK_MAX,
    EARLY_TASKS_MAX,
    TASKS_KNOWN_MAX,
    TASKS_PER_AUTHOR_MAX,
)
from nestmate_protocol.records import Record
from nestmate_protocol.signals.cells import (
    Cell,
    Life,
    Share,
    Stage,
    add_share,
    join_shares,
)
from nestmate_protocol.signals.credit import Credits
from nestmate_protocol.signals.pace import Paces
from nestmate_protocol.signals.parameters import RULE, Rule
from nestmate_protocol.signals.ranks import Ranks
from nestmate_protocol.signals.reckoning import Reckoning
from nestmate_protocol.signals.records import Deposit, Link, Signal, task_id

REPLAY_MS_MAX: Final = 24 * 3_600_000
_EVICT_SHARE: Final = 16


@unique
class Sensed(Enum):
    """What a signal changed here."""

    NEW = "new"
    RENEWED = "renewed"
    NOTHING = "nothing"


def _everybody(_: Address) -> float:
    return 1.0


Trust = Callable[[Address], float]


def _reckoning(rule: Rule, trust: Trust) -> Reckoning:
    return Ranks(rule) if rule.urgency_by_rank else Credits(rule, trust)


_News = Life | Share
_Key = TypeVar("_Key")


class Field:
    """All sensed tasks, bounded in every direction."""

    def __init__(
        self, me: Address, rule: Rule = RULE, trust: Trust = _everybody
    ) -> None:
        self._me = me
        self.reckoning = _reckoning(rule, trust)
        self._cells: dict[bytes, Cell] = {}
        self._by_author: dict[bytes, dict[bytes, None]] = {}
        self._by_skill: dict[str, dict[bytes, None]] = {}
        self._early: dict[bytes, dict[tuple[bytes, type[_News]], _News]] = {}
        self._paces = Paces()

    def __repr__(self) -> str:
        return f"<Field of {len(self._cells)}>"

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def get(self, task: TaskId) -> Cell | None:
        """The cell of a task, if it is sensed here."""
        return self._cells.get(task.raw)

    def of_skill(self, skill: str) -> Iterator[Cell]:
        """The cells of one skill, in the order in which they were first sensed."""
        return (self._cells[raw] for raw in self._by_skill.get(skill, ()))

    def sense(
        self, signal: Signal, record: Record, age_ms: int, now: Moment
    ) -> tuple[Sensed, Cell]:
        """Join a signal of its issuer, ``age_ms`` after it was signed.

        Raises RemoteError for what is expired, too old to be believed or beyond its
        author's pace or share.
        """
        birth = now.mono_ms - age_ms
        opened = birth - signal.open_ms
        ours = signal.issuer.raw == self._me.raw  # when ours end is its issuer's affair
        if not ours and (
            opened + signal.ttl_seconds * 1_000 <= now.mono_ms
            or 0 < signal.deadline_ms <= now.wall_ms
            or signal.created_ms + signal.ttl_seconds * 1_000 + REPLAY_MS_MAX
            < now.wall_ms
        ):
            raise RemoteError(Fault.EXPIRED, "signal")
        task = task_id(signal.issuer, signal.key)
        cell = self._cells.get(task.raw)
        if cell is None:
            return Sensed.NEW, self._add(task, signal, record, birth, now)
        return self._renew(cell, signal, record, birth, now), cell

    def deposit(self, deposit: Deposit, age_ms: int, now: Moment) -> bool:
        """Join somebody's deposit; whether it changed a task that is sensed here.

        One that comes before its task's signal is kept for a while. Raises
        RemoteError beyond the depositor's pace.
        """
        task = task_id(deposit.issuer, deposit.key)
        share = Share(deposit.n, deposit.amount_code, now.mono_ms - age_ms)
        cell = self._cells.get(task.raw)
        depositor = deposit.depositor
        known = (
            cell.shares.get(depositor.raw)
            if cell
            else self._early_share(task, depositor)
        )
        if known is None or known.n < share.n:
            self._pay(depositor, now)
            already = known.amount_code if known else -1
            code, link = share.amount_code, deposit.link
            code = self._counted(depositor, task, link, code, already=already, now=now)
            share = share._replace(amount_code=code)
        if cell is None:
            self._keep_early(task, depositor, share)
            return False
        return add_share(cell, depositor.raw, share)

    def tell(self, issuer: Address, task: TaskId, life: Life) -> bool:
        """Join what a task's issuer says of it; whether that is news here.

        What comes before its task's signal is kept for a while. Raises RemoteError if
        the task is known to be another's.
        """
        cell = self._cells.get(task.raw)
        if cell is None:
            self._keep_early(task, issuer, life)
            return False
        if cell.signal.issuer != issuer:
            raise RemoteError(Fault.NOT_ENTITLED, "only its issuer speaks for a task")
        if life <= cell.life:
            return False
        cell.life = life
        return True

    def sweep(self, now: Moment) -> None:
        """Drop what is gone."""
        for cell in [cell for cell in self._cells.values() if cell.is_gone(now)]:
            self.drop(cell.task)
        self._paces.sweep(now.mono_ms)

    def drop(self, task: TaskId) -> None:
        """Forget a task."""
        cell = self._cells.pop(task.raw, None)
        if cell is not None:
            _discard(self._by_author, cell.signal.issuer.raw, task.raw)
            _discard(self._by_skill, cell.signal.skill, task.raw)

    def drop_author(self, author: Address) -> None:
        """Forget all tasks of an author."""
        for raw in list(self._by_author.get(author.raw, ())):
            self.drop(TaskId(raw))

    def _add(
        self, task: TaskId, signal: Signal, record: Record, birth: int, now: Moment
    ) -> Cell:
        issuer = signal.issuer
        if issuer.raw != self._me.raw:
            self._pay(issuer, now)
            theirs = len(self._by_author.get(issuer.raw, ()))
            if theirs >= TASKS_PER_AUTHOR_MAX or len(self._cells) >= TASKS_KNOWN_MAX:
                self._make_room(issuer, now)
        life = Life(signal.generation, Stage.OPEN)
        link, code = signal.link, signal.urgency_code
        code = self._counted(issuer, task, link, code, already=-1, now=now)
        shares = {issuer.raw: Share(link.seq, code, birth)}
        opened = birth - signal.open_ms
        cell = Cell(
            task=task,
            signal=signal,
            record_id=record.id.raw,
            data=record.data,
            opened_ms=opened,
            called_ms=opened if signal.generation == 1 else birth,
            sent_ms=birth,
            life=life,
            shares=shares,
            urgency_code=code,
        )
        self._cells[task.raw] = cell
        self._by_author.setdefault(issuer.raw, {})[task.raw] = None
        self._by_skill.setdefault(signal.skill, {})[task.raw] = None
        if task.raw in self._early:
            for (author, _), news in self._early.pop(task.raw).items():
                if isinstance(news, Share):
                    add_share(cell, author, news)
                elif author == issuer.raw:
                    cell.life = max(cell.life, news)
        return cell

    def _renew(
        self, cell: Cell, signal: Signal, record: Record, birth: int, now: Moment
    ) -> Sensed:
        told = (signal.link.seq, record.id.raw)
        newer = told > (cell.signal.link.seq, cell.record_id)
        if newer:
            self._pay(signal.issuer, now)
            cell.urgency_code = self._counted(
                signal.issuer,
                cell.task,
                signal.link,
                signal.urgency_code,
                already=cell.urgency_code,
                now=now,
            )
        code = cell.urgency_code
        if not newer and record.id.raw != cell.record_id:
            code = min(signal.urgency_code, code)
        share = Share(signal.link.seq, code, birth)
        cell.opened_ms = min(cell.opened_ms, birth - signal.open_ms)
        life = Life(signal.generation, Stage.OPEN)
        called = cell.opened_ms if signal.generation == 1 else birth
        if life.generation > cell.life.generation:
            cell.called_ms = called
        elif life.generation == cell.life.generation:
            cell.called_ms = min(cell.called_ms, called)
        news = newer or life > cell.life
        cell.life = max(cell.life, life)
        add_share(cell, signal.issuer.raw, share)
        if newer:
            if signal.skill != cell.signal.skill:
                _discard(self._by_skill, cell.signal.skill, cell.task.raw)
                self._by_skill.setdefault(signal.skill, {})[cell.task.raw] = None
            cell.signal, cell.sent_ms = signal, birth
            cell.record_id, cell.data = record.id.raw, record.data
        elif record.id.raw == cell.record_id:
            cell.sent_ms = min(cell.sent_ms, birth)
        return Sensed.RENEWED if news else Sensed.NOTHING

    def _pay(self, author: Address, now: Moment) -> None:
        if author.raw != self._me.raw and not self._paces.take(author.raw, now.mono_ms):
            raise RemoteError(Fault.OVER_LIMIT, "signals of one author")

    def _counted(
        self,
        author: Address,
        task: TaskId,
        link: Link,
        code: int,
        *,
        already: int,
        now: Moment,
    ) -> int:
        """What counts of an urgency; our own is what we say it is.

        ``already`` is what counted on the same task before, -1 for nothing.
        """
        if author.raw == self._me.raw:
            return code
        return self.reckoning.counts(
            author, task, link, code, already=already, now_ms=now.mono_ms
        )

    def _make_room(self, author: Address, now: Moment) -> None:
        """Let one more task of this author in, at the cost of what is gone or weak."""
        theirs = self._by_author.get(author.raw, {})
        if len(theirs) >= TASKS_PER_AUTHOR_MAX:
            cells = [self._cells[raw] for raw in theirs]
            for cell in cells:
                if cell.life.stage != Stage.OPEN or cell.is_gone(now):
                    self.drop(cell.task)
            if len(self._by_author.get(author.raw, ())) >= TASKS_PER_AUTHOR_MAX:
                raise RemoteError(Fault.OVER_LIMIT, "tasks of one author")
        if len(self._cells) >= TASKS_KNOWN_MAX:
            self.sweep(now)
        if len(self._cells) >= TASKS_KNOWN_MAX:
            self._evict(now.mono_ms)

    def _evict(self, now_ms: int) -> None:
        """Drop a sixteenth of others' tasks: finished ones, then the faintest."""
        others = [cell for cell in self if cell.signal.issuer != self._me]
        others.sort(
            key=lambda cell: (
                cell.life.stage == Stage.OPEN,
                cell.intensity(now_ms),
                cell.task.raw,
            )
        )
        for cell in others[: max(1, len(others) // _EVICT_SHARE)]:
            self.drop(cell.task)

    def _keep_early(self, task: TaskId, author: Address, news: _News) -> None:
        kept = self._early.setdefault(task.raw, {})
        place = (author.raw, type(news))
        known = kept.get(place)
        if isinstance(news, Share) and isinstance(known, Share):
            kept[place] = join_shares(known, news)
        elif isinstance(news, Life) and isinstance(known, Life):
            kept[place] = max(known, news)
        elif len(kept) < EARLY_RECORDS_PER_TASK_MAX:
            kept[place] = news
        while len(self._early) > EARLY_TASKS_MAX:
            del self._early[next(iter(self._early))]

    def _early_share(self, task: TaskId, author: Address) -> Share | None:
        known = self._early.get(task.raw, {}).get((author.raw, Share))
        return known if isinstance(known, Share) else None


def _discard(index: dict[_Key, dict[bytes, None]], key: _Key, raw: bytes) -> None:
    members = index.get(key)
    if members is not None:
        members.pop(raw, None)
        if not members:
            del index[key]
