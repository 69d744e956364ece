"""Admission: signed records of anybody, taken once it is known for whom they speak.

A record of a key nobody knows waits while whoever brought it is asked whose key it is.
Who only carried a bad record checked its signature and cannot have known better; who
wrote it can be blamed. Knows nothing of what the records say.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.outcomes import Lapse
from nestmate_protocol.directory.outcomes import Outcome as Told
from nestmate_protocol.directory.parking import Parking
from nestmate_protocol.directory.subject import Directory
from nestmate_protocol.effects import Strike
from nestmate_protocol.errors import Fault
from nestmate_protocol.friends.contacts import Contacts
from nestmate_protocol.ids import Address, DeviceKey, PeerId
from nestmate_protocol.records import IDENTITY_KINDS, Carried, Kind, Record
from nestmate_protocol.signals.board import Board
from nestmate_protocol.signals.outcomes import Outcome as Said
from nestmate_protocol.signals.outcomes import Reject

SIGNAL_KINDS = frozenset(Kind) - frozenset(
    (*IDENTITY_KINDS, Kind.CARD, Kind.PRESENCE, Kind.INVITE, Kind.OP)
)
Outcome = Told | Said


class Admission:
    """The door through which records of signals come to the board."""

    def __init__(
        self,
        own: DeviceKey,
        directory: Directory,
        contacts: Contacts,
        board: Board,
        faults: Counter[Fault],
    ) -> None:
        self._own = own
        self._directory = directory
        self._contacts = contacts
        self._board = board
        self._faults = faults
        self._parking = Parking()

    def __repr__(self) -> str:
        return f"<Admission {self._parking!r}>"

    def carried(
        self,
        bearer: PeerId,
        records: Iterable[Carried],
        now: Moment,
        *,
        straight: bool = False,
    ) -> list[Outcome]:
        """Records of anybody, brought by a peer; ``straight`` if to us alone."""
        admit = partial(self.admit, bearer, now=now, straight=straight)
        return [outcome for carried in records for outcome in admit(carried)]

    def admit(
        self, bearer: PeerId, carried: Carried, now: Moment, *, straight: bool = False
    ) -> list[Outcome]:
        """One record, as soon as it is known for whom its key speaks."""
        record = carried.record
        if record.author == self._own:
            return [*self._shown(bearer, record, now)] if straight else []
        author = self._directory.neighbours.cards.author_of(record.author)
        if record.kind not in SIGNAL_KINDS:
            return [self._blame(bearer, author, Fault.UNKNOWN_KIND)]
        if author is None:
            if not self._parking.park(carried, bearer, now):
                self._faults[Fault.OVER_LIMIT] += 1
            return self.ask_whose(now)
        if self._contacts.is_blocked(author):
            return []
        outcomes: list[Outcome] = []
        by_author = self._directory.neighbours.peer_of(author) == bearer
        told = self._board.admit(
            record,
            author,
            carried.age_ms,
            now,
            straight=straight and by_author,
            wide=not straight,
        )
        if not any(isinstance(outcome, Reject) for outcome in told):
            self._board.retired.heard(record, author)
            if straight and not by_author:
                told += self._shown(bearer, record, now)
        for outcome in told:
            if isinstance(outcome, Reject) and outcome.strike:
                outcomes.append(self._blame(bearer, author, outcome.fault))
            else:
                outcomes.append(outcome)
        return outcomes

    def _shown(self, bearer: PeerId, record: Record, now: Moment) -> list[Said]:
        """A neighbour showed us a call of another's, or one of our own."""
        agent = self._directory.neighbours.agent_at(bearer)
        if agent is None or record.kind is not Kind.SIGNAL:
            return []
        return [*self._board.retired.shown(record, agent, now)]

    def _blame(
        self, bearer: PeerId, author: Address | None, fault: Fault
    ) -> Strike | Lapse:
        """Strike an author's own node; who only carried it checked its signature."""
        if author is not None and self._directory.neighbours.peer_of(author) == bearer:
            return Strike(bearer, fault)
        return Lapse(fault)

    def ask_whose(self, now: Moment) -> list[Outcome]:
        """Ask for the cards of authors whose records wait."""
        outcomes: list[Outcome] = []
        for device, bearer in self._parking.wake(now):
            outcomes += self._directory.reception.ask_whose(device, bearer)
        return outcomes

    def entitled(self, device: DeviceKey, now: Moment) -> Iterator[Outcome]:
        """A key speaks for somebody now: what waited for that goes on."""
        for bearer, carried in self._parking.release(device, now):
            yield from self.admit(bearer, carried, now)

    def next_wakeup(self) -> int | None:
        """When ``ask_whose`` is due on the monotonic clock in ms; None for never."""
        return self._parking.next_wakeup()
