"""The replica: the copies held here, as sync wants to see them.

What a peer sends is read here, once, and given to the engine of its space; nothing it
may be raises anything. This file knows neither peers nor requests.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from nestmate_protocol.clocks import Moment, Timestamp
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import DeviceKey, NetworkId, RecordId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.engine.changes import (
    Admission,
    Change,
    Granted,
    Ungranted,
    Verdict,
)
from nestmate_protocol.spaces.ops import Lane, Op, op_of, open_op, open_ops
from nestmate_protocol.spaces.summary import Summary
from nestmate_protocol.spaces.sync.ports import Taken

_KEPT: Final = (Verdict.NEW, Verdict.QUARANTINED)


class Held:
    """What sync works on."""

    def __init__(self, copies: Copies, me: SigningKey, network: NetworkId) -> None:
        self._copies = copies
        self._me = me
        self._network = network

    def __repr__(self) -> str:
        return f"<Held {self._copies!r}>"

    def spaces(self) -> Iterable[SpaceId]:
        """All spaces this node takes part in."""
        return tuple(copy.listing.space for copy in self._copies)

    def offered(self, space: SpaceId, lane: Lane) -> Summary:
        """The keys of the ops of one lane that take part in reconciliation."""
        return self._copies[space].summary(lane)

    def leaves(self, space: SpaceId) -> Sequence[bytes]:
        """The last op of every chain that is offered: author, lane, seq and id."""
        found = self._copies[space].engine.ops.frontier()
        return [
            author.raw + bytes((lane,)) + seq.to_bytes(8) + op.raw
            for author, lane, seq, op in found
        ]

    def wire(self, space: SpaceId, op: RecordId) -> bytes | None:
        """The bytes of an op that is held."""
        return self._copies[space].engine.wire(op)

    def holds(self, space: SpaceId, op: RecordId) -> bool:
        """Whether an op is held, offered or not."""
        return self._copies[space].engine.has(op)

    def may_have(self, space: SpaceId, key: DeviceKey) -> bool:
        """Whether a key may have the ops of a space, as far as is known here."""
        rights, now = self._copies[space].engine.rights, self._copies.now
        return now is not None and any(
            rights.is_entitled(key, right, now) for right in (Rights.READ, Rights.RELAY)
        )

    def may_know(self, space: SpaceId, key: DeviceKey) -> bool:
        """Whether a key was granted something once, and may know what became of it."""
        rights, now = self._copies[space].engine.rights, self._copies.now
        return now is not None and rights.is_known(key, now)

    def credentials(self, space: SpaceId) -> Sequence[RecordId]:
        """The ops by which our key took over what an older one was granted."""
        rights, me = self._copies[space].engine.rights, self._me.public
        return sorted({op_of(dot) for dot in rights.taken_over_by(me)})

    def proving(self, space: SpaceId) -> Sequence[SigningKey]:
        """The keys that show to others that this node may have them."""
        return (self._me, *self._copies[space].bearers)

    def take(self, space: SpaceId, ops: Sequence[bytes], now: Moment) -> Taken:
        """Ops as a peer sent them, unread; no exception for whatever they are."""
        copy = self._copies[space]
        new: list[RecordId] = []
        missing: list[RecordId] = []
        faults: list[Fault] = []
        told: list[Change] = []
        for op in self._opened(copy, ops, faults):
            admission, changes = copy.admit(op, now)
            told += changes
            _sort(op, admission, new, missing, faults)
            if admission.verdict in _KEPT:
                self._copies.clock.follow(Timestamp.from_int(op.place.hlc))
        self._copies.note(copy, told, own=False)
        return Taken(
            new=tuple(new),
            missing=tuple(dict.fromkeys(missing)),
            faults=tuple(faults),
            rights_changed=any(isinstance(c, Granted | Ungranted) for c in told),
        )

    def _opened(
        self, copy: Copy, ops: Sequence[bytes], faults: list[Fault]
    ) -> list[Op]:
        """The ops in one go, or one by one where not all of them are any.

        Those whose very bytes are held are left out, for a proof costs the most.
        As long as the first op of the space is not here they may be sealed or not.
        """
        genesis = copy.engine.rights.genesis
        sealed = genesis is not None and genesis.private

        def is_here(op: Op) -> bool:
            return copy.engine.wire(op.id) == op.data

        try:
            return open_ops(ops, self._network, sealed=sealed, is_here=is_here)
        except RemoteError:
            opened: list[Op] = []
        for data in ops:
            try:
                opened += open_ops(
                    [data], self._network, sealed=sealed, is_here=is_here
                )
            except RemoteError as error:
                if genesis is None:
                    opened += self._opened_otherwise(data, faults)
                else:
                    faults.append(error.fault)
        return opened

    def _opened_otherwise(self, data: bytes, faults: list[Fault]) -> list[Op]:
        """An op of a private space, as far as is known before its first op is here."""
        try:
            return [open_op(data, self._network, sealed=True)]
        except RemoteError as error:
            faults.append(error.fault)
            return []


def _sort(
    op: Op,
    admission: Admission,
    new: list[RecordId],
    missing: list[RecordId],
    faults: list[Fault],
) -> None:
    """What came of one op, to where it belongs."""
    if admission.verdict in _KEPT:
        new += [op.id, *admission.released]
    if admission.missing is not None:
        missing.append(admission.missing)
    if admission.fault is not None and admission.fault is not Fault.OVER_LIMIT:
        faults.append(admission.fault)
