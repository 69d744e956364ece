"""A hostile peer: a real core with a real key that also does everything it should not.

It overhears every frame in the world, which no peer of the real network can. From that
and from nothing it makes garbage, mutated frames, replays, floods, records signed with
its own key that say what others said, and records in the names of others with a
signature that does not fit. This file judges nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Encodable, Value, encode
from nestmate_protocol.core import Identity
from nestmate_protocol.effects import Channel, Dial, Effect, Join, Publish, Send
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import ID_BYTES, PeerId
from nestmate_protocol.inputs import Input
from nestmate_protocol.limits import AGE_MS_MAX
from nestmate_protocol.records import (
    Kind,
    Record,
    make_frame,
    open_frame,
    open_record,
    sign_record,
)
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.nodes import Brain, Node

LOOT_FRAMES_MAX = 256
FLOOD_FRAMES = 40
CLAIM_TRIES = 8
PAUSE_MS_MIN = 50
PAUSE_MS_MAX = 2_000

Spill = Callable[[str, bytes], None]


@dataclass(slots=True)
class Loot:
    """What hostile peers overhear and know; ``quiet`` makes them behave.

    ``targets`` are the peers of the world and where they listen.
    """

    targets: Callable[[], list[tuple[PeerId, str]]]
    topics: Callable[[], list[str]]
    quiet: bool = False
    frames: deque[tuple[Channel, bytes]] = field(
        default_factory=lambda: deque(maxlen=LOOT_FRAMES_MAX)
    )
    published: deque[bytes] = field(
        default_factory=lambda: deque(maxlen=LOOT_FRAMES_MAX)
    )

    def watch(self, _: Node, effect: Effect) -> None:
        """Overhear one effect of anybody."""
        match effect:
            case Send(_, channel, data):
                self.frames.append((channel, data))
            case Publish(_, record):
                self.published.append(record)
            case _:
                return


class Hostile:
    """A core that keeps up appearances, and attacks in between."""

    def __init__(
        self, inner: Brain, identity: Identity, loot: Loot, dice: Dice
    ) -> None:
        self.spill: Spill | None = None
        self._inner = inner
        self._key = identity.device
        self._me = identity.log.address.raw
        self._network = identity.network
        self._loot = loot
        self._dice = dice
        self._due_ms = 0

    def steps(self, item: Input, now: Moment) -> Iterator[list[Effect]]:
        """Do what an honest core would, and something else if it is time."""
        yield from self._inner.steps(item, now)
        if self._due_ms <= now.mono_ms:
            self._due_ms = now.mono_ms + self._dice.between(PAUSE_MS_MIN, PAUSE_MS_MAX)
            if not self._loot.quiet:
                yield self._attack()

    def next_wakeup(self) -> int | None:
        """When the core inside or the next attack is due."""
        inner_ms = self._inner.next_wakeup()
        return self._due_ms if inner_ms is None else min(inner_ms, self._due_ms)

    def _attack(self) -> list[Effect]:
        dice = self._dice
        attack = dice.pick(
            [
                self._approach,
                self._babble,
                self._babble,
                self._replay,
                self._mutate,
                self._mutate,
                self._resign,
                self._resign,
                self._impersonate,
                self._squat,
                self._shout,
            ]
        )
        rounds = FLOOD_FRAMES if dice.chance(0.05) else 1
        return [effect for _ in range(rounds) for effect in attack()]

    def _someone(self) -> PeerId:
        return self._dice.pick(self._loot.targets())[0]

    def _approach(self) -> list[Effect]:
        """Get near to everybody and listen to everything."""
        dials = [Dial(peer, (where,)) for peer, where in self._loot.targets()]
        joins = [Join(topic) for topic in self._loot.topics()]
        return [*dials, *joins]

    def _babble(self) -> list[Effect]:
        """Random bytes, or values that a strict decoder takes but nobody expects."""
        dice = self._dice
        if dice.chance(0.4):
            data = dice.octets(dice.below(300))
        else:
            kind = dice.below(12)
            data = encode([kind, *(self._value(3) for _ in range(dice.below(5)))])
        return [Send(self._someone(), dice.pick(list(Channel)), data)]

    def _replay(self) -> list[Effect]:
        """What somebody else said, said again, perhaps where it does not belong."""
        if not self._loot.frames:
            return []
        channel, data = self._dice.pick(self._loot.frames)
        if self._dice.chance(0.1):
            channel = self._dice.pick(list(Channel))
        return [Send(self._someone(), channel, data)]

    def _mutate(self) -> list[Effect]:
        """A frame of somebody else with one place changed."""
        if not self._loot.frames:
            return []
        channel, data = self._dice.pick(self._loot.frames)
        return [Send(self._someone(), channel, self._damaged(data))]

    def _resign(self) -> list[Effect]:
        """What somebody said, changed and signed by us, maybe in their name."""
        record = self._stolen()
        if record is None:
            return []
        kind = self._dice.pick(list(Kind)) if self._dice.chance(0.1) else record.kind
        try:
            body = self._bent(record)
            data = sign_record(self._key, self._network, kind, body).data
        except LocalError:
            return []  # bent beyond what a record can be
        if self._dice.chance(0.3):
            data = data.replace(self._key.public.raw, record.author.raw, 1)
        return self._utter(data)

    def _stolen_claim(self) -> Record | None:
        records = (self._stolen() for _ in range(CLAIM_TRIES))
        return next((one for one in records if one and one.kind is Kind.CLAIM), None)

    def _squat(self) -> list[Effect]:
        """Claim what somebody else claims, and never do it."""
        claim = self._stolen_claim()
        if claim is None:
            return []
        body = _plain(claim.fields.body) | {2: self._me}
        record = sign_record(self._key, self._network, Kind.CLAIM, body)
        frame = make_frame([(record.data, 0)])
        targets = self._loot.targets()
        return [Send(peer, Channel.SIGNALS, frame) for peer, _ in targets]

    def _impersonate(self) -> list[Effect]:
        """A result in the name of whoever claimed a task, with our signature."""
        claim = self._stolen_claim()
        if claim is None:
            return []
        result, said = self._dice.octets(8), _plain(claim.fields.body)
        body = {key: said.get(key) for key in (1, 2, 3)}
        body |= {4: result, 5: sha256(result).digest(), 6: 1}
        record = sign_record(self._key, self._network, Kind.DONE, body)
        frame = make_frame([(record.data, 0)])
        in_their_name = frame.replace(self._key.public.raw, claim.author.raw, 1)
        return [
            Send(peer, Channel.SIGNALS, data)
            for peer, _ in self._loot.targets()
            for data in (frame, in_their_name)
        ]

    def _shout(self) -> list[Effect]:
        """Damaged records, or whole ones in the wrong place, over gossip."""
        topics, published = self._loot.topics(), self._loot.published
        if not topics or not published:
            return []
        record, topic = self._dice.pick(published), self._dice.pick(topics)
        if self.spill is not None and self._dice.chance(0.5):
            self.spill(topic, self._damaged(make_frame([(record, 0)])))
            return []
        age_ms = self._dice.below(AGE_MS_MAX >> self._dice.below(30))
        return [Publish(topic, record, age_ms, urgent=True)]

    def _utter(self, data: bytes) -> list[Effect]:
        topics = self._loot.topics()
        if topics and self._dice.chance(0.3):
            return [Publish(self._dice.pick(topics), data, 0, urgent=True)]
        frame = make_frame([(data, self._dice.below(100_000))])
        return [Send(self._someone(), Channel.SIGNALS, frame)]

    def _stolen(self) -> Record | None:
        """Some record that was overheard."""
        dice, loot = self._dice, self._loot
        try:
            if loot.published and dice.chance(0.3):
                return open_record(dice.pick(loot.published), self._network)
            if loot.frames:
                _, data = dice.pick(loot.frames)
                return dice.pick(open_frame(data, self._network)).record
        except RemoteError:
            return None  # no frame of records
        return None

    def _bent(self, record: Record) -> dict[int, Encodable]:
        """The fields of a record with one to three of them changed."""
        body = _plain(record.fields.body)
        for _ in range(self._dice.between(1, 3)):
            key = self._dice.pick([0, *sorted(body)])
            if key == 0 or self._dice.chance(0.1):
                body[self._dice.below(30) + 1] = self._value(2)
            elif self._dice.chance(0.1):
                del body[key]
            else:
                body[key] = self._like(body[key])
        return body

    def _like(self, value: Encodable) -> Encodable:
        """Another value of much the same shape."""
        dice = self._dice
        match value:
            case bool():
                return not value
            case int():
                far = dice.pick([-1, 0, 1, 1 << 31, 1 << 40, (1 << 64) - 1])
                return dice.pick([value + 1, value - 1, far])
            case bytes() if len(value) == ID_BYTES:
                other = self._stolen()
                names = [] if other is None else list(other.fields.body.values())
                known = [name for name in names if isinstance(name, bytes)]
                return dice.pick([dice.octets(ID_BYTES), self._me, *known])
            case bytes():
                return dice.octets(dice.below(2 * len(value) + 2))
            case str():
                return value + dice.pick(["\u202e", "\x1b[2J", "x" * 100, "\0", "é"])
            case _:
                return self._value(2)

    def _value(self, depth: int) -> Encodable:
        """Any value, nested at most so deep."""
        dice = self._dice
        match dice.below(7 if depth else 5):
            case 0:
                return dice.pick([None, True, False])
            case 1:
                return dice.bits() >> dice.below(64)
            case 2:
                return -1 - (dice.bits() >> dice.below(64))
            case 3:
                return dice.octets(dice.pick([0, 1, 16, 32, 33, 64]))
            case 4:
                return "".join(chr(32 + dice.below(900)) for _ in range(dice.below(9)))
            case 5:
                return [self._value(depth - 1) for _ in range(dice.below(5))]
            case _:
                return {
                    dice.below(30): self._value(depth - 1) for _ in range(dice.below(5))
                }

    def _damaged(self, data: bytes) -> bytes:
        dice, place = self._dice, self._dice.below(len(data) + 1)
        match dice.below(4):
            case 0:
                return data[:place]
            case 1:
                return data[:place] + dice.octets(dice.between(1, 9)) + data[place:]
            case 2:
                return data[:place] + dice.octets(1) + data[place + 1 :]
            case _:
                return data[:place] + data[place + dice.between(1, 9) :]


def _plain(body: Mapping[int | str, Value]) -> dict[int, Encodable]:
    """Fields as they can be signed again; the version is the signer's business."""
    return {key: value for key, value in body.items() if isinstance(key, int) and key}
