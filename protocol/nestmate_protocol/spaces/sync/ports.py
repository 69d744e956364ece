"""What sync needs of whoever keeps the ops.

The port stands here because its users do; the subject fills it from its engines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Effect
from nestmate_protocol.errors import Fault
from nestmate_protocol.ids import DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.ops import Lane
from nestmate_protocol.spaces.reconcile import Keys


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of ops that a peer sent.

    ``new`` are those now held that were not before, ``missing`` those that others wait
    for, ``faults`` what no honest peer would have sent. ``effects`` are to be carried
    out whatever happens next; ``rights_changed`` says that others may be members now.
    """

    new: tuple[RecordId, ...] = ()
    missing: tuple[RecordId, ...] = ()
    faults: tuple[Fault, ...] = ()
    effects: tuple[Effect, ...] = ()
    rights_changed: bool = False


class Replica(Protocol):
    """The spaces this node takes part in, and their ops."""

    def spaces(self) -> Iterable[SpaceId]:
        """All of them."""
        ...

    def offered(self, space: SpaceId, lane: Lane) -> Keys:
        """The keys of the ops of one lane that take part in reconciliation."""
        ...

    def leaves(self, space: SpaceId) -> Sequence[bytes]:
        """The last op of every chain that is offered, in order.

        Author, lane, seq (8 bytes, big-endian) and id: 73 bytes each.
        """
        ...

    def wire(self, space: SpaceId, op: RecordId) -> bytes | None:
        """The bytes of an op that is held and may be given away."""
        ...

    def holds(self, space: SpaceId, op: RecordId) -> bool:
        """Whether an op is held, offered or not."""
        ...

    def may_have(self, space: SpaceId, key: DeviceKey) -> bool:
        """Whether a key may have the ops of a space, as far as is known here."""
        ...

    def may_know(self, space: SpaceId, key: DeviceKey) -> bool:
        """Whether a key may know who may do what: it was granted something once."""
        ...

    def credentials(self, space: SpaceId) -> Sequence[RecordId]:
        """The ops by which our key took over what an older one was granted."""
        ...

    def proving(self, space: SpaceId) -> Sequence[SigningKey]:
        """The keys that show to others that this node may have them; one or two."""
        ...

    def take(self, space: SpaceId, ops: Sequence[bytes], now: Moment) -> Taken:
        """Ops as a peer sent them, unread; no exception for whatever they are."""
        ...
