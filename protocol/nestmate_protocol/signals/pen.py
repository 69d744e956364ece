"""The pen: signs in this agent's name and keeps its spending chain.

Signals and deposits form one hash chain per incarnation, so that what an author spent
can be added up by anyone and two records in one place are proof of a lie. A sequence
number never comes twice, whatever happened to the disk: it starts above the last one
known and above the seconds of the wall clock. This file knows no rule of signals.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Save
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, Record, sign_record
from nestmate_protocol.signals.records import Body, Link
from nestmate_protocol.signals.shelf import write_sequence


class Signable(Protocol):
    """A typed record body."""

    @property
    def kind(self) -> Kind:
        """What kind of record it is the body of."""
        ...

    def fields(self) -> Body:
        """The map to be signed."""
        ...


_Body = TypeVar("_Body", bound=Signable)


class Pen:
    """One agent's hand during one incarnation."""

    def __init__(
        self, me: Address, network: NetworkId, device: SigningKey, incarnation: bytes
    ) -> None:
        self.me = me
        self.network = network
        self._device = device
        self._incarnation = incarnation
        self._sequence = 0
        self._last: bytes | None = None
        self._spent = 0

    def __repr__(self) -> str:
        return f"<Pen of {self.me.short} at {self._sequence}>"

    def start(self, last: int, now: Moment) -> None:
        """Begin this incarnation's chain after ``last``, the number last saved."""
        self._sequence = max(last, now.wall_ms // 1_000)

    def sign(self, body: Signable) -> Record:
        """A signed record outside the chain."""
        return sign_record(self._device, self.network, body.kind, body.fields())

    def wrote(self, record: Record) -> bool:
        """Whether a record is of this hand."""
        return record.author == self._device.public

    def spend(
        self, cents: int, write: Callable[[Link], _Body]
    ) -> tuple[_Body, Record, Save]:
        """The chain's next record, which adds ``cents`` to what was spent."""
        link = Link(
            self._incarnation, self._sequence + 1, self._last, self._spent + cents
        )
        body = write(link)
        record = self.sign(body)
        self._sequence, self._last, self._spent = link.seq, record.id.raw, link.spent
        return body, record, Save((write_sequence(link.seq),), durable=False)
