"""Signals among a few agents, without any network: a town that tests look down on.

Every agent is a board with a disk of its own; records fly at once or after a delay,
or not at all, as a test wishes. It plays the part of the core as far as signals need
it and knows nothing of peers, cards or topics.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

import pytest

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Notify, Reply, Save
from nestmate_protocol.ids import Address, DeviceKey, NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Kind, Record, open_record, sign_record
from nestmate_protocol.signals.board import Board
from nestmate_protocol.signals.outcomes import Reject, ToAgent, ToTopic
from nestmate_protocol.signals.outside import Outside
from nestmate_protocol.signals.parameters import RULE, Rule

NETWORK = NetworkId(b"\x06" * 32)
START = Moment(1_800_000_000_000, 5_000_000)


def address_of(name: str) -> Address:
    return Address(sha256(b"address of " + name.encode()).digest())


def key_of(name: str) -> SigningKey:
    return SigningKey(sha256(b"key of " + name.encode()).digest())


class Disk:
    """A reader of what was saved; ``durable`` is what a power cut leaves."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.pairs.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted(p for p in self.pairs.items() if p[0].startswith(prefix))

    def write(self, save: Save) -> None:
        for key, value in save.writes:
            if value is None:
                self.pairs.pop(key, None)
            else:
                self.pairs[key] = value


@dataclass
class Agent:
    """One board, its disk, and everything it said and told."""

    name: str
    town: "Town"
    trust: float = 1.0
    rule: Rule = RULE
    disk: Disk = field(default_factory=Disk)
    boots: int = 0
    away: bool = False
    able: dict[str, list[Address]] = field(default_factory=dict)
    replies: dict[int, object] = field(default_factory=dict)
    events: list[Notify] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)

    def boot(self) -> None:
        self.boots += 1
        draws = count()
        self.board = Board(
            self.address,
            NETWORK,
            key_of(self.name),
            sha256(f"{self.name}{self.boots}".encode()).digest()[:16],
            Outside(
                lambda n: sha256(
                    f"{self.name}{self.boots}{next(draws)}".encode()
                ).digest()[:n],
                self.disk,
                lambda _: self.trust,
                lambda skill, _: self.able.get(skill, ()),
                rule=self.rule,
                whose=self.town.whose,
            ),
        )
        self.carry_out(self.board.start(self.town.now))

    @property
    def address(self) -> Address:
        return address_of(self.name)

    def ask(self, body: object) -> object:
        """The answer, or None while it is still being waited for."""
        request = self.town.ask_later(self, body)
        return self.replies.get(request)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def count(self, kind: Kind) -> int:
        """How often it said a record of this kind."""
        return sum(record.kind == kind for record in self.sent)

    def carry_out(self, outcomes: list) -> None:
        for outcome in outcomes:
            match outcome:
                case Save():
                    self.disk.write(outcome)
                case Reply(request, response):
                    assert request not in self.replies, "answered twice"
                    self.replies[request] = response
                case Notify():
                    self.events.append(outcome)
                case Reject():
                    self.rejects.append(outcome)
                case ToAgent(address, data, age_ms):
                    self.town.post(self, data, age_ms, address)
                case ToTopic(_, data, age_ms):
                    self.town.post(self, data, age_ms, None)
                case _:
                    pass


class Town:
    """Some agents, one clock, and what is in the air between them."""

    def __init__(self) -> None:
        self.now = START
        self.agents: dict[str, Agent] = {}
        self.lost: Callable[[Agent, Record, Agent], bool] = lambda *_: False
        self.delay_ms = 0
        self.air: list[tuple[int, int, Agent, Agent, bytes, int, bool]] = []
        self.count = count()

    def add(self, *names: str) -> list[Agent]:
        for name in names:
            self.agents[name] = Agent(name, self)
            self.agents[name].boot()
        return [self.agents[name] for name in names]

    def whose(self, key: DeviceKey) -> Address | None:
        """For whom a key speaks: everybody in town knows everybody."""
        names = [name for name in self.agents if key_of(name).public == key]
        return address_of(names[0]) if names else None

    def lose(self, *kinds: Kind) -> None:
        """From now on records of these kinds get lost."""
        self.lost = lambda _, record, __: record.kind in kinds

    def ask_later(self, agent: Agent, body: object) -> int:
        request = next(self.count)
        agent.carry_out(agent.board.ask(request, body, self.now))
        self.settle()
        return request

    def post(self, sender: Agent, data: bytes, age_ms: int, to: Address | None) -> None:
        record = open_record(data, NETWORK)
        sender.sent.append(record)
        for agent in self.agents.values():
            if agent is sender or (to is not None and agent.address != to):
                continue
            if not self.lost(sender, record, agent):
                due = self.now.mono_ms + self.delay_ms
                age = age_ms + self.delay_ms
                straight = to is not None
                item = (due, next(self.count), sender, agent, data, age, straight)
                self.air.append(item)

    def settle(self) -> None:
        """Deliver what is due by now."""
        while due := [item for item in self.air if item[0] <= self.now.mono_ms]:
            first = min(due, key=lambda item: item[:2])
            self.air.remove(first)
            _, _, sender, agent, data, age_ms, straight = first
            record = open_record(data, NETWORK)
            author = self.author(record)
            straight = straight and author is sender
            self.deliver(agent, record, author.name, age_ms, straight=straight)

    def author(self, record: Record) -> Agent:
        """Whose record this is; others may pass it on."""
        return next(
            agent
            for agent in self.agents.values()
            if key_of(agent.name).public == record.author
        )

    def deliver(
        self,
        agent: Agent,
        record: Record,
        author: str,
        age: int = 0,
        *,
        straight: bool = True,
    ) -> None:
        if not agent.away:
            admit, author = agent.board.admit, address_of(author)
            wide = not straight
            told = admit(record, author, age, self.now, straight=straight, wide=wide)
            agent.carry_out(told)

    def wait(self, seconds: float) -> None:
        """Let time pass, waking everyone when they asked to be."""
        end = self.now.mono_ms + round(seconds * 1_000)
        self.settle()
        while True:
            times = [a.board.next_wakeup() for a in self.agents.values() if not a.away]
            times += [item[0] for item in self.air]
            due = min([t for t in times if t is not None and t <= end], default=end)
            self.now = self.now.later(max(0, due - self.now.mono_ms))
            for agent in [a for a in self.agents.values() if not a.away]:
                wakeup = agent.board.next_wakeup()
                if wakeup is not None and wakeup <= self.now.mono_ms:
                    agent.carry_out(agent.board.wake(self.now))
            self.settle()
            if due == end:
                return

    def opened(self, outcomes: list, agent: Agent) -> list[Record]:
        """The records among outcomes that go straight to an agent."""
        return [
            open_record(each.record, NETWORK)
            for each in outcomes
            if isinstance(each, ToAgent) and each.address == agent.address
        ]

    def sign(self, name: str, body: object) -> Record:
        return sign_record(key_of(name), NETWORK, body.kind, body.fields())


@pytest.fixture
def town() -> Town:
    """An empty town; ``town.add("ann", "bob")`` makes agents."""
    return Town()


@pytest.fixture(scope="session")
def new_town() -> Callable[[], Town]:
    """What makes a town for each of many examples."""
    return Town


@pytest.fixture
def ann(town: Town) -> Agent:
    """Ann, in a town with Bob and Cid."""
    return town.add("ann", "bob", "cid")[0]


@pytest.fixture
def bob(town: Town, ann: Agent) -> Agent:
    """Bob, in a town with Ann and Cid."""
    return town.agents["bob"]


@pytest.fixture
def cid(town: Town, ann: Agent) -> Agent:
    """Cid, in a town with Ann and Bob."""
    return town.agents["cid"]
