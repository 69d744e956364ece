"""Liars: device keys that signed a contradiction, and how they are found out.

Whatever comes here of an author's chain is noted. Two records that cannot both be in
it prove a lie to anybody: they are kept, across restarts, the key is heard no more, and
the proof is passed on to the neighbours, once. Its agent may go on with another key.
Once a second neighbours are told where chains that grew end; whoever knows another
record in such a place shows it, so that an author who tells the two halves of a network
different things is found where they meet. This file knows no rule of signals.
"""

from collections.abc import Callable, Iterable
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.effects import Notify, Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address, DeviceKey, NetworkId
from nestmate_protocol.limits import (
    HEAD_NEIGHBOURS_MAX,
    PROOFS_KEPT_MAX,
    RECORD_BYTES_MAX,
    WITNESSES_PER_FRAME_MAX,
)
from nestmate_protocol.records import Record
from nestmate_protocol.signals.chains import Chains, Proof, contradict
from nestmate_protocol.signals.hearsay import head_frame, open_hearsay, witness_frame
from nestmate_protocol.signals.outcomes import Outcome, ToNeighbours
from nestmate_protocol.signals.parameters import Rule
from nestmate_protocol.signals.records import Link
from nestmate_protocol.signals.upshots import Step

PROOF_PREFIX: Final = b"s/e/"

Whose = Callable[[DeviceKey], Address | None]


def nobody(_: DeviceKey) -> Address | None:
    """No key is known to speak for anybody."""
    return None


class Liars:
    """The keys that are heard no more; ``proofs`` are by their bytes.

    ``whose`` says for whom a key speaks, ``drop`` forgets an agent's tasks.
    """

    def __init__(
        self,
        network: NetworkId,
        rule: Rule,
        whose: Whose,
        drop: Callable[[Address], None],
    ) -> None:
        self.proofs: dict[bytes, Proof] = {}
        self._network = network
        self._round_ms = rule.digest_ms
        self._whose = whose
        self._drop = drop
        self._chains = Chains()
        self._due_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Liars {len(self.proofs)}>"

    def recall(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take up the proofs that are saved; LocalError if they cannot be read."""
        for place, value in pairs:
            try:
                row = Fields(decode(value, 3 * RECORD_BYTES_MAX))
                proof = Proof(*(row.octets(at, 0, RECORD_BYTES_MAX) for at in (0, 1)))
            except RemoteError as damage:
                raise LocalError(f"a saved proof cannot be read: {damage}") from None
            self.proofs[place[len(PROOF_PREFIX) :]] = proof

    def addresses(self) -> dict[Address, None]:
        """The agents that lied, as far as it is known whose their keys are."""
        owners = (self._whose(DeviceKey(raw)) for raw in self.proofs)
        return {owner: None for owner in owners if owner is not None}

    def note(
        self, record: Record, link: Link, author: Address, now: Moment
    ) -> list[Step]:
        """A verified record of an author's chain has come; what follows from it."""
        proof = self._chains.note(record, link)
        if proof is not None:
            return [*self._convict(record.author, author, proof)]
        if self._due_ms is None:
            self._due_ms = now.mono_ms + self._round_ms
        return []

    def hear(self, data: bytes, me: DeviceKey) -> tuple[list[bytes], list[Outcome]]:
        """A neighbour's hearsay: frames in answer to it, and what follows besides.

        Raises RemoteError if it is malformed. Of our own key ``me`` nothing is
        believed: our own node knows what it signed. Nor is anything kept of keys that
        speak for nobody known here: they can be made without end, and each would cost
        all nodes a proof.
        """
        heads, witnesses = open_hearsay(data, self._network)
        shown: list[bytes] = []
        for head in heads:
            proof = self.proofs.get(head.key)
            other = None if proof else self._chains.against(head)
            shown += proof or ([other] if other is not None else [])
        answers = [
            witness_frame(shown[at : at + WITNESSES_PER_FRAME_MAX])
            for at in range(0, len(shown), WITNESSES_PER_FRAME_MAX)
        ]
        outcomes: list[Outcome] = []
        last: tuple[Record, Link] | None = None
        for record, link in witnesses:
            proof = self._chains.clash(record, link)
            if last is not None and contradict(*last, record, link):
                proof = Proof(last[0].data, record.data)
            author = self._whose(record.author)
            fresh = record.author != me and record.author.raw not in self.proofs
            if proof and fresh and author is not None:
                outcomes += self._convict(record.author, author, proof)
            last = record, link
        return answers, outcomes

    def greet(self, now: Moment) -> None:
        """Somebody can be reached now: tell the latest ends of chains once more."""
        self._chains.refresh()
        if self._due_ms is None and self._chains.has_fresh():
            self._due_ms = now.mono_ms + self._round_ms

    def wake(self, now: Moment) -> list[Step]:
        """Tell neighbours where the chains that grew end."""
        if self._due_ms is None or self._due_ms > now.mono_ms:
            return []
        heads = self._chains.fresh()
        more = self._chains.has_fresh()
        self._due_ms = now.mono_ms + self._round_ms if more else None
        return [ToNeighbours(head_frame(heads), HEAD_NEIGHBOURS_MAX)] if heads else []

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due, in monotonic ms."""
        return self._due_ms

    def _convict(self, key: DeviceKey, author: Address, proof: Proof) -> list[Outcome]:
        """Hear a key no more, keep the proof and pass it on; the oldest makes room."""
        writes: list[tuple[bytes, bytes | None]] = []
        self.proofs[key.raw] = proof
        while len(self.proofs) > PROOFS_KEPT_MAX:
            oldest = next(iter(self.proofs))
            del self.proofs[oldest]
            writes.append((PROOF_PREFIX + oldest, None))
        writes.append((PROOF_PREFIX + key.raw, encode([proof.first, proof.second])))
        self._chains.forget(key.raw)
        self._drop(author)
        return [
            Save(tuple(writes)),
            Notify("author.equivocated", None, author, {"key": key.text}),
            ToNeighbours(witness_frame(proof), None),
        ]
