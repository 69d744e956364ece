"""Whole cores in the same world: a check on what boards are put between.

One core per agent, with cards, hellos, topics and dialling, connected to everybody else
before the first task comes. What ``boards`` translates itself is the core's own doing
here, so that the two can be compared. A core costs several times as much as a board and
faults are not played, so that all else runs on boards.
"""

from collections import Counter
from typing import Final

from nestmate.bench.allocation.carrying import Carrier
from nestmate.bench.allocation.hands import Hands, skill_name
from nestmate.bench.allocation.loop import Loop, Steps
from nestmate.bench.allocation.seats import make_clock, whole_ms
from nestmate.bench.allocation.stage import Rule, Stage
from nestmate.bench.allocation.tally import Opener
from nestmate.bench.allocation.watching import Watcher, figures_of
from nestmate_protocol.clocks import Moment
from nestmate_protocol.core import Core, Settings
from nestmate_protocol.directory.requests import AddSkill, SkillOffer
from nestmate_protocol.directory.topics import skill_topic
from nestmate_protocol.effects import (
    Channel,
    Dial,
    Find,
    Join,
    Notify,
    Publish,
    Reply,
    Resolve,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.ids import Address
from nestmate_protocol.inputs import (
    Arrived,
    Ask,
    Dialled,
    Found,
    Heard,
    Input,
    Listening,
    PeerUp,
    Resolved,
    Wakeup,
)
from nestmate_protocol.limits import SKEW_MS_MAX
from nestmate_protocol.records import Carried, open_frame
from nestmate_protocol.signals.hearsay import is_hearsay
from nestmate_protocol.signals.requests import SignalsRequest
from nestmate_protocol.simulation.cast import NETWORK, make_identity
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.machine import Disk

GATHER_SECONDS: Final = 60.0
OFFSET_MS_MAX: Final = SKEW_MS_MAX // 2 - 1_000
"""Cards of agents whose clocks are further apart than SKEW_MS_MAX are not taken."""

OWN_REQUESTS_FROM: Final = 10**9
"""Numbers of requests that no local agent waits for."""

_INCARNATION_BYTES: Final = 16
_MS: Final = 1_000


class CoreSeat:
    """One agent's whole core on a machine of its own."""

    def __init__(self, number: int, dice: Dice) -> None:
        self.number = number
        self.identity = make_identity(dice.fork("identity"), f"agent {number}")
        self.disk = Disk()
        self._clock = make_clock(dice, OFFSET_MS_MAX)
        self._clock.boot(whole_ms(-GATHER_SECONDS), dice)
        self.core = Core(
            self.identity,
            Settings(peers_wanted=0, carry=False),
            dice.fork("entropy").octets,
            dice.octets(_INCARNATION_BYTES),
            self.disk,
        )

    def __repr__(self) -> str:
        return f"<CoreSeat {self.number}>"

    @property
    def address(self) -> Address:
        """Under which name its agent is known."""
        return self.identity.log.address

    @property
    def multiaddr(self) -> str:
        """Where its node can be reached."""
        return f"/ip4/10.0.{self.number // 256}.{self.number % 256}/tcp/4001"

    def moment(self, now: float) -> Moment:
        """What its clocks say at a time of the world."""
        return self._clock.moment(whole_ms(now))

    def handle(self, item: Input, now: float) -> Steps:
        """Let something happen to the core."""
        return self.core.handle(item, self.moment(now))

    def next_wakeup(self) -> float | None:
        """When the core wants to be woken, in seconds of the world."""
        due_ms = self.core.next_wakeup()
        return None if due_ms is None else self._clock.world_ms(due_ms) / _MS


class Cores(Rule):
    """The signals rule within all else a node does."""

    def join(self, stage: Stage) -> None:
        """Seat everybody."""
        super().join(stage)
        dice = Dice(stage.world.seed).fork("allocation")
        agents = range(stage.world.terms.agents)
        self.seats = [CoreSeat(n, dice.fork(f"seat {n}")) for n in agents]
        self.carrier = Carrier(stage, self.seats, Opener(NETWORK, strict=False), self)
        self.watcher = Watcher()
        self.hands = Hands(stage, self, self.watcher)
        self.rejected: Counter[str] = Counter()
        self._loop = Loop(stage, self)
        self._peers = {seat.identity.peer: seat.number for seat in self.seats}
        skills = range(stage.world.terms.skills)
        self._topics = {skill_topic(NETWORK, skill_name(n)): n for n in skills}
        self._requests = OWN_REQUESTS_FROM

    def begin(self) -> None:
        """Let everybody offer its skills and meet everybody else."""
        for seat in self.seats:
            self._give(seat.number, Listening((seat.multiaddr,)))
            for skill in self.stage.world.speeds[seat.number].nonzero()[0].tolist():
                self._requests += 1
                offer = AddSkill(SkillOffer(skill_name(skill)))
                self._give(seat.number, Ask(self._requests, offer))
        for one in self.seats:
            for other in self.seats[: one.number]:
                up = PeerUp(other.identity.peer, other.multiaddr, inbound=False)
                self._give(one.number, up)
                down = PeerUp(one.identity.peer, one.multiaddr, inbound=True)
                self._give(other.number, down)
        for seat in self.seats:
            self.stage.timeline.at(-1.0, self.hands.look, seat.number)

    def arrived(self, task: int) -> None:
        """Its origin deposits it."""
        self.hands.deposit(task)

    def finished(self, agent: int, task: int) -> None:
        """The agent hands in the result."""
        self.hands.finished(agent, task)

    def ask(self, agent: int, request: int, body: SignalsRequest) -> None:
        """A local agent's request."""
        self._give(agent, Ask(request, body))

    def address(self, agent: int) -> Address:
        """Under which name an agent is known."""
        return self.seats[agent].address

    def figures(self) -> dict[str, float]:
        """What only this rule has."""
        tasks, tally = self.stage.world.terms.tasks, self.carrier.tally
        return figures_of(self.watcher, tally, self.hands.surplus, tasks)

    def arrived_at(self, agent: int, source: int, carried: tuple[Carried, ...]) -> None:
        """Cores send frames themselves; nothing comes this way."""
        raise TypeError(f"{len(carried)} records of {source} came past {agent}'s core")

    def heard(self, agent: int, source: int, carried: tuple[Carried, ...]) -> None:
        """A frame has come over a topic."""
        for each in carried:
            self.watcher.heard(each.record)
        self._give(agent, Heard(self.seats[source].identity.peer, "", carried))

    def translate(self, agent: int, outcomes: Steps) -> None:
        """As the shell does it, one effect after the other."""
        for effect in outcomes:
            match effect:
                case Send(peer, channel, data):
                    self._send(agent, self._peers[peer], channel, data)
                case Publish(topic, record, age_ms, urgent):
                    skill, item = self._topics[topic], (record, age_ms)
                    self.carrier.publish(agent, skill, item, urgent=urgent)
                case Join(topic):
                    self.carrier.join(agent, self._topics[topic])
                case Save(writes, durable):
                    self.seats[agent].disk.write(writes, durable=durable)
                case Reply(request, response):
                    if request < OWN_REQUESTS_FROM:
                        self.hands.answered(agent, request, response)
                case Notify():
                    self.watcher.told(effect)
                    self.hands.notified(agent, effect)
                case Strike(_, fault):
                    self.rejected[fault.value] += 1
                case Dial(peer, _):
                    self._give(agent, Dialled(peer, connected=True))
                case Find(key):
                    self._give(agent, Found(key, ()))
                case Resolve(address):
                    self._give(agent, Resolved(address, None))
                case _:
                    pass  # the DHT and pins mean nothing where all are connected

    def wake(self, agent: int) -> Steps:
        """A core wants to be woken."""
        return self.seats[agent].handle(Wakeup(), self.stage.now)

    def next_wakeup(self, agent: int) -> float | None:
        """When a core wants to be woken."""
        return self.seats[agent].next_wakeup()

    def _give(self, agent: int, item: Input) -> None:
        outcomes = self.seats[agent].handle(item, self.stage.now)
        self._loop.carry_out(agent, outcomes)

    def _send(self, sender: int, receiver: int, channel: Channel, data: bytes) -> None:
        """One frame over a connection; what the gathering costs is not counted."""
        if self.stage.now >= 0:
            plain = channel is Channel.SIGNALS and not is_hearsay(data)
            carried = open_frame(data, NETWORK) if plain else ()
            records = [each.record.data for each in carried]
            self.carrier.tally.count(records, len(data), 1)
            self.carrier.tally.delivered += len(records)
        item = Arrived(self.seats[sender].identity.peer, channel, data)
        delay = self.stage.links.delay(sender, receiver)
        self.stage.timeline.after(delay, self._give, receiver, item)
