"""The core: routes each input to its subject and gathers the effects.

One call, ``handle``, takes everything that can happen to a node; nothing else goes in
and only effects come out. The subjects do not know each other: what one of them has to
tell another comes back as an outcome, a plain value, and is passed on here, where
addresses become peers and keys become addresses. The core knows no rule of any
subject, no clock, no entropy of its own and no disk.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from json import dumps
from typing import Final, assert_never

from nestmate_protocol.admission import Admission
from nestmate_protocol.audience import Audience
from nestmate_protocol.blobs.outcomes import Visit
from nestmate_protocol.blobs.requests import BlobsRequest
from nestmate_protocol.blobs.subject import Blobs
from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import plain
from nestmate_protocol.directory import subject as directory_kept
from nestmate_protocol.directory.outcomes import AgentUp, Entitled, Lapse, Skilled
from nestmate_protocol.directory.own_card import Me
from nestmate_protocol.directory.requests import (
    DirectoryRequest,
    ShowStatus,
    StatusView,
)
from nestmate_protocol.directory.subject import Directory, Meeting
from nestmate_protocol.directory.topics import skill_topic
from nestmate_protocol.effects import (
    DISK_FULL,
    Channel,
    Code,
    Effect,
    Notify,
    Publish,
    Refusal,
    Reply,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.friends import subject as friends_kept
from nestmate_protocol.friends.contacts import Contacts
from nestmate_protocol.friends.outcomes import Meet, Regarded
from nestmate_protocol.friends.requests import FriendsRequest
from nestmate_protocol.friends.subject import Friends, Issuer
from nestmate_protocol.identity.log import IdentityLog
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.inputs import (
    Abandon,
    Arrived,
    Ask,
    Dialled,
    DiskFull,
    DiskRoom,
    Found,
    Heard,
    Input,
    Listening,
    PeerDown,
    PeerUp,
    Request,
    Resolved,
    Sighted,
    Wakeup,
)
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import ASKS_OPEN_MAX, NAME_CHARS_MAX
from nestmate_protocol.outcomes import Outcome
from nestmate_protocol.ports import Entropy, Reader, Sleeper
from nestmate_protocol.postroom import Mail, Postroom
from nestmate_protocol.records import make_frames, open_frame
from nestmate_protocol.scarcity import is_passed_over, only_reads, waits_for_room
from nestmate_protocol.signals.board import Board
from nestmate_protocol.signals.hearsay import is_hearsay
from nestmate_protocol.signals.outcomes import (
    Listen,
    Reject,
    SeekAble,
    ToAgent,
    ToNeighbours,
    ToTopic,
)
from nestmate_protocol.signals.outside import Outside
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.requests import DepositTask
from nestmate_protocol.spaces.outcomes import Reach, Settle
from nestmate_protocol.spaces.requests import SpacesRequest
from nestmate_protocol.spaces.subject import Me as Member
from nestmate_protocol.spaces.subject import Spaces, arrived_in_steps

NOBODY: Final = -1
"""The number of a request that nobody made."""
TRUST: Final = {-1: 0.0, 0: 0.5, 1: 0.75, 2: 1.0}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is: its device key, its agent's log, its host and its network.

    ``called`` is the name it proposes to others, at most NAME_CHARS_MAX characters.
    """

    device: SigningKey
    log: IdentityLog
    peer: PeerId
    called: str
    network: NetworkId


@dataclass(frozen=True, slots=True)
class Settings:
    """What an owner may choose about the way a node behaves.

    ``peers_wanted`` is how many connections are kept up besides those friends keep;
    ``carry`` makes a node join topics of skills it only heard of, so that small
    networks pass each other's signals on. ``urgency_by_rank`` compares the calls of an
    author with its own, in place of keeping credit.
    """

    peers_wanted: int = 8
    carry: bool = True
    urgency_by_rank: bool = False


class Core:
    """One node's whole behaviour: inputs and moments in, effects out."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        entropy: Entropy,
        incarnation: bytes,
        reader: Reader,
    ) -> None:
        """Restore everything from ``reader``; ``incarnation`` is 16 bytes per boot.

        Raises LocalError if what is on disk about our own doings cannot be read, or if
        the device does not speak for the address.
        """
        if identity.device.public not in identity.log.last_devices:
            raise LocalError(
                "this device does not speak for its address any more",
                "give it a new key with the recovery phrase",
            )
        self._me = me = Me(
            identity.device,
            identity.log,
            identity.peer,
            plain(identity.called)[:NAME_CHARS_MAX],
            identity.network,
        )
        self._contacts = Contacts()
        self._directory = Directory(
            me,
            self._contacts,
            entropy,
            peers_wanted=settings.peers_wanted,
            carry=settings.carry,
        )
        self._neighbours = self._directory.neighbours
        issuer = Issuer(
            me.key, me.address, me.peer, me.network, me.called, me.log.entries
        )
        self._friends = Friends(issuer, self._contacts, self._neighbours, entropy)
        self._friends.restore(reader.scan(friends_kept.PREFIX))
        self._directory.restore(reader.scan(directory_kept.PREFIX))
        self._board = Board(
            me.address,
            me.network,
            me.key,
            incarnation,
            Outside(
                entropy,
                reader,
                self._trust,
                self._directory.able,
                rule=replace(RULE, urgency_by_rank=settings.urgency_by_rank),
                whose=self._neighbours.cards.author_of,
            ),
        )
        self._spaces = Spaces(
            Member(me.key, identity.log, me.peer, me.network, incarnation),
            self._neighbours,
            entropy,
            reader,
        )
        audience = Audience(self._neighbours, self._spaces)
        self._blobs = Blobs(me.peer, me.network, audience, reader, entropy)
        self._faults: Counter[Fault] = Counter()
        self._postroom = Postroom(self._directory, self._contacts)
        self._admission = Admission(
            me.key.public, self._directory, self._contacts, self._board, self._faults
        )
        self._asks: dict[int, Request] = {}
        self._is_full = False
        self._began: Moment | None = None

    def __repr__(self) -> str:
        return f"<Core {self._me.address.short} {self._directory!r} {self._friends!r}>"

    def handle(self, item: Input, now: Moment) -> list[Effect]:
        """What follows from one input: durable, then visible, then answered."""
        outcomes: list[Outcome] = []
        if self._began is None:
            self._began = now
            outcomes += self._board.start(now)
            outcomes += self._spaces.start(now)
            outcomes += self._blobs.start(now)
        outcomes += self._route(item, now)
        return self._effects(outcomes, now)

    def steps(self, item: Input, now: Moment) -> Iterator[list[Effect]]:
        """The same, bit by bit; what a step saves must be readable before the next."""
        waits = self._began is None or self._is_full
        if waits or not isinstance(item, Arrived) or item.channel != Channel.SPACES:
            return (yield self.handle(item, now))
        for outcomes in arrived_in_steps(self._spaces, item.peer, item.data, now):
            yield self._effects([*outcomes], now)

    def _effects(self, outcomes: Sequence[Outcome], now: Moment) -> list[Effect]:
        """What outcomes come to, in the order in which it is carried out."""
        if not outcomes:
            return []
        effects = self._settle(outcomes, now)
        saves = [effect for effect in effects if isinstance(effect, Save)]
        replies = [effect for effect in effects if isinstance(effect, Reply)]
        visible = [e for e in effects if not isinstance(e, Save | Reply)]
        return [*_one_batch(saves), *visible, *self._answers(replies)]

    def next_wakeup(self) -> int | None:
        """When a ``Wakeup`` is due on the monotonic clock in ms; None for never."""
        times = [part.next_wakeup() for part in self._awake()]
        return min((time for time in times if time is not None), default=None)

    def _awake(self) -> tuple[Sleeper, ...]:
        """The parts that have work to do by themselves, full disk or not."""
        always = (self._directory, self._friends, self._blobs)
        if self._is_full:
            return always
        return (*always, self._board, self._spaces, self._postroom, self._admission)

    def _route(self, item: Input, now: Moment) -> list[Outcome]:
        directory = self._directory
        if self._is_full and is_passed_over(item):
            return []
        match item:
            case Listening(multiaddrs):
                listened = directory.listening(multiaddrs, now)
                return [*listened, *map(Listen, self._board.skills_wanted())]
            case Ask(request, body):
                return self._ask(request, body, now)
            case Abandon(request):
                self._asks.pop(request, None)
                return self._abandon(request, now)
            case Arrived(peer, channel, data):
                return self._arrived(peer, channel, data, now)
            case Heard(peer, _, records):
                return [*self._admission.carried(peer, records, now)]
            case PeerUp(peer, multiaddr, inbound):
                up = directory.peer_up(peer, multiaddr, now, inbound=inbound)
                known = self._spaces.peer_up(peer, now)
                return [*up, *known, *self._blobs.peer_up(peer, now)]
            case PeerDown(peer):
                self._friends.peer_down(peer)
                self._spaces.peer_down(peer)
                self._blobs.peer_down(peer)
                return [*directory.peer_down(peer, now)]
            case Dialled(peer, connected):
                return [*directory.dialled(peer, now, connected=connected)]
            case Sighted(peer, multiaddrs):
                return [*directory.sighted(peer, multiaddrs, now)]
            case Found(key, providers):
                found = directory.finder.found(key, providers, now)
                members = self._spaces.found(key, providers)
                return [*found, *members, *self._blobs.found(key, providers)]
            case Resolved(address, record):
                return [*directory.finder.resolved(address, record, now)]
            case DiskFull(reason):
                return self._rest(reason, now)
            case DiskRoom(untold):
                return self._go_on(untold, now)
            case Wakeup():
                return self._wake(now)
            case _:
                assert_never(item)

    def _rest(self, reason: str, now: Moment) -> list[Outcome]:
        """The disk is full: whatever waits for more to be kept waits in vain."""
        if self._is_full:
            return []
        self._is_full = True
        outcomes: list[Outcome] = [Notify("disk.full", details={"reason": reason})]
        for request, body in tuple(self._asks.items()):
            if waits_for_room(body):
                outcomes += self._abandon(request, now)
                outcomes.append(Reply(request, DISK_FULL))
        self._blobs.rests = True
        return [*outcomes, *self._spaces.resting.rest(now)]

    def _go_on(self, untold: int, now: Moment) -> list[Outcome]:
        """There is room: everybody connected is as good as new."""
        if not self._is_full:
            return []
        self._is_full = False
        self._blobs.rests = False
        agents = self._neighbours.links.agents()
        peers = [(each, self._neighbours.peer_of(each)) for each in agents]
        return [
            Notify("disk.room", details={"untold": untold}),
            *self._spaces.resting.go_on(now),
            *(AgentUp(agent, peer) for agent, peer in peers if peer is not None),
        ]

    def _abandon(self, request: int, now: Moment) -> list[Outcome]:
        """Nobody waits for the answer any more."""
        for part in (self._directory, self._friends, self._spaces, self._blobs):
            part.abandon(request)
        return [*self._board.abandon(request, now)]

    def _ask(self, request: int, body: Request, now: Moment) -> list[Outcome]:
        if len(self._asks) >= ASKS_OPEN_MAX:
            self._asks[request] = body
            return [Reply(request, _TOO_MANY)]
        self._asks[request] = body
        if self._is_full and not only_reads(body):
            return [Reply(request, DISK_FULL)]
        try:
            if isinstance(body, ShowStatus):
                return [Reply(request, self._status(now))]
            if isinstance(body, DirectoryRequest):
                return [*self._directory.ask(request, body, now)]
            if isinstance(body, FriendsRequest):
                return [*self._friends.ask(request, body, now)]
            if isinstance(body, SpacesRequest):
                return [*self._spaces.ask(request, body, now)]
            if isinstance(body, BlobsRequest):
                return [*self._blobs.ask(request, body, now)]
            return [*self._board.ask(request, body, now)]
        except LocalError as error:
            return [Reply(request, Refusal(Code.INVALID, str(error), error.hint))]

    def _arrived(
        self, peer: PeerId, channel: Channel, data: bytes, now: Moment
    ) -> list[Outcome]:
        """One frame of a direct stream; whoever sends what it must not is struck."""
        try:
            match channel:
                case Channel.CARDS:
                    return [*self._directory.arrived(peer, data, now)]
                case Channel.FRIENDS:
                    return [*self._friends.arrived(peer, data, now)]
                case Channel.SIGNALS if is_hearsay(data):
                    answers, told = self._board.liars.hear(data, self._me.key.public)
                    return [*(Send(peer, channel, each) for each in answers), *told]
                case Channel.SIGNALS:
                    records = open_frame(data, self._me.network)
                    carried = self._admission.carried
                    return [*carried(peer, records, now, straight=True)]
                case Channel.BLOBS:
                    return [*self._blobs.arrived(peer, data, now)]
                case Channel.SPACES:
                    return [*self._spaces.arrived(peer, data, now)]
                case _:
                    assert_never(channel)
        except RemoteError as error:
            return [Strike(peer, error.fault)]

    def _wake(self, now: Moment) -> list[Outcome]:
        outcomes: list[Outcome] = [*self._directory.wake(now)]
        outcomes += [*self._friends.wake(now), *self._blobs.wake(now)]
        if self._is_full:
            return outcomes
        self._postroom.wake(now)
        outcomes += [*self._board.wake(now), *self._spaces.wake(now)]
        return [*outcomes, *self._admission.ask_whose(now)]

    def _settle(self, outcomes: Iterable[Outcome], now: Moment) -> list[Effect]:
        """Pass outcomes on until only effects are left, in their order."""
        effects: list[Effect] = []
        mail: Mail = {}
        waiting = deque(outcomes)
        while waiting:
            outcome = waiting.popleft()
            more: list[Outcome] = []
            match outcome:
                case AgentUp() | Skilled() | Entitled() if self._is_full:
                    pass  # they are met anew once there is room
                case ToAgent(address, record, age_ms):
                    mail.setdefault(address, {})[record] = age_ms
                case SeekAble(skill):
                    more += self._directory.finder.seek_skill(skill, now)
                case AgentUp(address, peer):
                    more = self._agent_up(address, peer, now)
                    for record, age_ms in self._postroom.take(address, now):
                        mail.setdefault(address, {}).setdefault(record, age_ms)
                case Skilled(address, skills):
                    for record, age_ms in self._board.greeting(address, now, skills):
                        mail.setdefault(address, {}).setdefault(record, age_ms)
                case Entitled(device, _):
                    more += self._admission.entitled(device, now)
                case Reach(peer, multiaddrs) | Visit(peer, multiaddrs):
                    more += self._directory.sighted(peer, multiaddrs, now)
                case Settle():
                    more += self._call_for(outcome, now)
                case Meet(address, peer, multiaddrs, until_ms):
                    meeting = Meeting(address, peer, multiaddrs, until_ms)
                    more += self._directory.meet(meeting, now)
                case Regarded(address):
                    more += self._directory.regard(address, now)
                case Listen(skill):
                    more += self._directory.topics.ask(skill)
                case ToTopic(skill, record, age_ms, urgent):
                    more += self._directory.topics.ask(skill)
                    topic = skill_topic(self._me.network, skill)
                    more.append(Publish(topic, record, age_ms, urgent))
                case ToNeighbours(frame, count_max):
                    peers = self._neighbours.some(count_max)
                    effects += [Send(each, Channel.SIGNALS, frame) for each in peers]
                case Reject(fault, _) | Lapse(fault):
                    self._faults[fault] += 1
                case Strike(_, fault):
                    self._faults[fault] += 1
                    effects.append(outcome)
                case _:
                    effects.append(outcome)
            waiting.extendleft(reversed(more))
        return effects + self._postroom.post(mail, now)

    def _agent_up(self, address: Address, peer: PeerId, now: Moment) -> list[Outcome]:
        """An agent can be reached: whoever has something for it says so."""
        outcomes: list[Outcome] = [*self._friends.agent_up(address, peer, now)]
        outcomes += self._board.agent_up(address, now)
        outcomes += self._spaces.agent_up(address, peer)
        outcomes += self._blobs.peer_up(peer, now)
        frames = make_frames(self._board.greeting(address, now))
        outcomes += [Send(peer, Channel.SIGNALS, frame) for frame in frames]
        return outcomes

    def _call_for(self, conflict: Settle, now: Moment) -> list[Outcome]:
        """A conflict that somebody has to settle becomes a task of this agent's."""
        body = dumps({"space": conflict.space, "path": conflict.path}).encode()
        task = DepositTask(
            conflict.skill, conflict.urgency, body=body, key=conflict.key
        )
        try:
            return [*self._board.ask(NOBODY, task, now)]
        except LocalError:
            return []  # too many tasks are open; the conflict is seen anyway

    def _answers(self, replies: Iterable[Reply]) -> list[Effect]:
        """One answer to each open request, and none to one that was abandoned."""
        effects: list[Effect] = []
        for reply in replies:
            if self._asks.pop(reply.request, None) is not None:
                response = reply.response
                if isinstance(response, Refusal):
                    response = response.in_sentences()
                effects.append(Reply(reply.request, response))
        return effects

    def _status(self, now: Moment) -> StatusView:
        me, own = self._me, self._neighbours.own
        counts = self._board.counts()
        began = self._began or now
        return StatusView(
            address=me.address,
            peer=me.peer,
            network=me.network,
            multiaddrs=own.multiaddrs,
            peers=len(self._neighbours.links),
            contacts=len(self._contacts),
            skills=tuple(skill.name for skill in own.skills),
            tasks_own=counts.tasks_own,
            tasks_sensed=counts.tasks_sensed,
            claims=counts.claims,
            spaces=len(self._spaces),
            up_seconds=(now.mono_ms - began.mono_ms) / 1_000,
            faults=tuple(sorted((f.value, n) for f, n in self._faults.items())),
        )

    def _trust(self, address: Address) -> float:
        return TRUST[self._contacts.rank(address)]


_TOO_MANY: Final = Refusal(
    Code.BUSY, "too many requests are open", "wait until some have been answered"
)


def _one_batch(saves: Iterable[Save]) -> list[Effect]:
    """All writes of one step are there together or not at all."""
    writes = tuple(write for save in saves for write in save.writes)
    return [Save(writes, any(save.durable for save in saves))] if writes else []
