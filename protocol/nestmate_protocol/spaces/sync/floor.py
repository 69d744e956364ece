"""Floor: what all parts of sync share: who we are, the ops, the links, the times.

Also the two questions everything turns on: who may have our ops, and with whom to
talk about them at all. This file sends nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Channel, Effect, Send
from nestmate_protocol.ids import NetworkId, PeerId, RecordId, SpaceId
from nestmate_protocol.limits import ASKED_PER_FRAME_MAX, PUSHED_TO_MAX
from nestmate_protocol.spaces.ops import Dot
from nestmate_protocol.spaces.sync.frames import AskOps, SpacesFrame, pack
from nestmate_protocol.spaces.sync.link import Link
from nestmate_protocol.spaces.sync.ports import Replica
from nestmate_protocol.spaces.sync.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Offered:
    """A peer says that there is a space for us, by this grant."""

    peer: PeerId
    space: SpaceId
    name: str
    grant: Dot


Outcome = Effect | Offered


@dataclass(slots=True)
class Floor:
    """One node's place in sync; it ``rests`` while nothing can be kept."""

    me: PeerId
    network: NetworkId
    replica: Replica
    entropy: Callable[[int], bytes]
    timetable: Timetable
    links: dict[PeerId, Link] = field(default_factory=dict)
    rests: bool = False

    def may_have(self, link: Link, space: SpaceId) -> bool:
        """Whether the peer has shown a key that may have the ops of a space."""
        keys = link.proved.get(space, ())
        return any(self.replica.may_have(space, key) for key in keys)

    def may_know(self, link: Link, space: SpaceId) -> bool:
        """Whether the peer has shown a key that may know who may do what.

        Who was let in once hears that it is not any more, and nothing else.
        """
        keys = link.proved.get(space, ())
        return any(self.replica.may_know(space, key) for key in keys)

    def may_talk(self, link: Link, space: SpaceId) -> bool:
        """Whether to reconcile with a peer.

        With members; and while we are not known as one ourselves, for want of ops,
        with everyone who knows the space, because members are not known either.
        """
        if not link.shares(space):
            return False
        if self.may_have(link, space) or self.may_know(link, space):
            return True
        ours = self.replica.proving(space)
        return not any(self.replica.may_have(space, key.public) for key in ours)

    def sharing(self, space: SpaceId) -> Iterator[Link]:
        """Everybody connected who takes part in a space."""
        return (link for link in self.links.values() if link.shares(space))

    def few(self, space: SpaceId, but: Link) -> list[Link]:
        """A few of the others who take part, by chance; they will tell a few more."""
        others = [link for link in self.sharing(space) if link is not but]
        count = min(PUSHED_TO_MAX, len(others))
        return [others.pop(self.timetable.chance(len(others))) for _ in range(count)]


def send(link: Link, frame: SpacesFrame) -> Send:
    """One frame to a peer."""
    return Send(link.peer, Channel.SPACES, pack(frame))


def ask(
    link: Link, space: SpaceId, ops: Sequence[RecordId], now: Moment
) -> list[Outcome]:
    """Ask a peer for ops that others rest on, if that is not being overdone."""
    number = link.our_numbers.get(space)
    if not ops or number is None or not link.begun.take(now):
        return []
    return [send(link, AskOps(number, tuple(ops[:ASKED_PER_FRAME_MAX])))]
