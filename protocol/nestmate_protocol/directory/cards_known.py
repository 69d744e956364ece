"""Cards known: what is believed of other agents, indexed by whatever one knows of them.

The card that ranks higher is kept, in whichever order they come, and a device speaks
for an address only once it has signed a card for it: naming somebody's key in one's
own log proves nothing. Contradicting logs leave a proof. The index is bounded and
forgets first whoever was longest silent. It knows no names, no trust and no wire.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.cards import Card, open_card
from nestmate_protocol.identity.log import ForkProof, merge_logs, open_fork
from nestmate_protocol.ids import Address, DeviceKey, NetworkId
from nestmate_protocol.limits import CARDS_KNOWN_MAX, FRAME_BYTES_MAX

CARD_PREFIX: Final = b"d/card/"
FORK_PREFIX: Final = b"d/fork/"
_VERSION: Final = 1
_VALUE_BYTES_MAX: Final = FRAME_BYTES_MAX

Write = tuple[bytes, bytes | None]


@dataclass(slots=True)
class Known:
    """One agent; ``seen_ms`` is Unix ms of its node's last sign of life, or 0.

    ``forked`` says that its log contradicts itself and nothing has healed it since.
    """

    card: Card
    fork: ForkProof | None = None
    seen_ms: int = 0
    forked: bool = False

    def judge(self) -> None:
        """Set ``forked`` from the proof and the card, after either has changed."""
        self.forked = self.fork is not None and self.fork.stands(self.card.log)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a card: whether it is kept, and whether it proved a new fork."""

    news: bool
    forked: bool
    writes: tuple[Write, ...]


class CardsKnown:
    """The newest card of each agent, and the proofs against those that forked."""

    def __init__(self, network: NetworkId, kept: Callable[[Address], bool]) -> None:
        """``kept`` says of an agent that it must not be forgotten now."""
        self._network = network
        self._kept = kept
        self._known: dict[Address, Known] = {}
        self._by_device: dict[DeviceKey, Address] = {}
        self._by_skill: dict[str, dict[Address, None]] = {}
        self._by_data: dict[bytes, Card] = {}

    def __repr__(self) -> str:
        return f"<CardsKnown {len(self._known)}>"

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Known]:
        """Everyone, whoever was longest silent first."""
        return iter(self._known.values())

    def latest_first(self) -> Iterator[Known]:
        """Everyone, whoever gave the last sign of life first."""
        return reversed(self._known.values())

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved; what cannot be read is left out."""
        forks: dict[Address, ForkProof] = {}
        silent: list[Known] = []
        for key, value in pairs:
            try:
                if key.startswith(CARD_PREFIX):
                    silent.append(self._read(value))
                elif key.startswith(FORK_PREFIX):
                    fork = open_fork(value)
                    forks[fork.address] = fork
            except (RemoteError, LocalError):
                continue
        for known in sorted(silent, key=lambda known: known.seen_ms):
            known.fork = forks.get(known.card.address)
            known.judge()
            self._index(known)

    def get(self, address: Address) -> Known | None:
        """What is known of an agent."""
        return self._known.get(address)

    def opened(self, data: bytes, wall_ms: int) -> Card | None:
        """The card these foreign bytes are, if it was verified before and is valid."""
        card = self._by_data.get(data)
        return card if card and card.valid_until_ms > wall_ms else None

    def author_of(self, device: DeviceKey) -> Address | None:
        """For whom a device key speaks, if one of their cards has shown it."""
        address = self._by_device.get(device)
        known = self._known.get(address) if address else None
        return address if known and device in known.card.log.devices else None

    def offering(self, skill: str, wall_ms: int) -> list[Known]:
        """Everyone whose card, still valid, offers a skill; in no order that counts."""
        addresses = self._by_skill.get(skill, ())
        known = [self._known[address] for address in addresses]
        return [each for each in known if each.card.valid_until_ms > wall_ms]

    def take(self, card: Card, wall_ms: int) -> Taken:
        """Believe a card if it ranks higher than the one known.

        Raises RemoteError with NOT_ENTITLED if its signer has been replaced since.
        """
        before = self._known.get(card.address)
        if before is None:
            self._index(Known(card, None, wall_ms))
            writes = [self._saved(self._known[card.address]), *self._forget()]
            return Taken(news=True, forked=False, writes=tuple(writes))
        merged = merge_logs(before.card.log, card.log)
        proof = merged.fork if before.fork is None else None
        before.fork = before.fork or proof
        writes = [(FORK_PREFIX + card.address.raw, proof.data)] if proof else []
        news = card.rank > before.card.rank
        if news:
            proved = self._unindex(before) & card.log.devices
            self._index(Known(card, before.fork, wall_ms))
            self._by_device.update(dict.fromkeys(sorted(proved), card.address))
            writes.append(self._saved(self._known[card.address]))
        elif card.author in merged.log.devices:
            self._by_device[card.author] = card.address
        elif not writes:
            raise RemoteError(Fault.NOT_ENTITLED, "this device has been replaced")
        self._known[card.address].judge()
        return Taken(news=news, forked=proof is not None, writes=tuple(writes))

    def saw(self, address: Address, wall_ms: int) -> list[Write]:
        """An agent's node gave a sign of life."""
        known = self._known.pop(address, None)
        if known is None:
            return []
        self._known[address] = known
        known.seen_ms = wall_ms
        return [self._saved(known)]

    def _index(self, known: Known) -> None:
        card = known.card
        self._known.pop(card.address, None)
        self._known[card.address] = known
        self._by_device[card.author] = card.address
        self._by_data[card.data] = card
        for skill in card.skills:
            self._by_skill.setdefault(skill.name, {})[card.address] = None

    def _unindex(self, known: Known) -> frozenset[DeviceKey]:
        """Take somebody out; returns the devices that had shown whom they speak for."""
        card = known.card
        self._known.pop(card.address, None)
        self._by_data.pop(card.data, None)
        devices = card.log.last_devices | {card.author}
        proved = {d for d in devices if self._by_device.get(d) == card.address}
        for device in proved:
            del self._by_device[device]
        for skill in card.skills:
            offering = self._by_skill[skill.name]
            offering.pop(card.address, None)
            if not offering:
                del self._by_skill[skill.name]
        return frozenset(proved)

    def _forget(self) -> list[Write]:
        """Make room again: drop whoever was longest silent and is not needed."""
        if len(self._known) <= CARDS_KNOWN_MAX:
            return []
        newest = next(reversed(self._known))
        spare = (a for a in self._known if not self._kept(a))
        gone = next(spare, newest)
        self._unindex(self._known[gone])
        return [(CARD_PREFIX + gone.raw, None), (FORK_PREFIX + gone.raw, None)]

    def _saved(self, known: Known) -> Write:
        value = encode([_VERSION, known.card.data, known.seen_ms])
        return CARD_PREFIX + known.card.address.raw, value

    def _read(self, value: bytes) -> Known:
        match decode(value, _VALUE_BYTES_MAX):
            case [_, bytes(data), int(seen_ms)]:
                card = open_card(data, self._network, None)
                return Known(card, None, seen_ms)
            case _:
                raise LocalError("not a card")


def as_effects(writes: Iterable[Write]) -> list[Save]:
    """Writes as one batch; proofs of a fork must not be lost, cards may be."""
    batch = tuple(writes)
    durable = any(key.startswith(FORK_PREFIX) and value for key, value in batch)
    return [Save(batch, durable=durable)] if batch else []
