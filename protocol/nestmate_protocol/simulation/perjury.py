"""Perjury: the last act of a run, in which one node cries wolf and then lies.

Once all is well again, everybody is asked to find one node, and records are signed in
its name: first a dozen calls of the highest urgency, which must cost it credit, then
two different calls in one place of its chain, one to each of two neighbours. Within two
rounds of the digest all who found it and are in touch must know the proof, and still
know it after a restart. This file knows no core: it speaks and asks through the front
doors.
"""

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256

from nestmate_protocol.directory.requests import AgentView, WhoIs
from nestmate_protocol.effects import Channel
from nestmate_protocol.inputs import Arrived
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import URGENCY_CODE_MAX
from nestmate_protocol.records import Kind, make_frame, sign_record
from nestmate_protocol.signals.levels import cost_cents
from nestmate_protocol.signals.parameters import RULE
from nestmate_protocol.signals.records import Link, Signal, TaskClass
from nestmate_protocol.signals.requests import AuthorViews, ListAuthors
from nestmate_protocol.simulation.agents import Line
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.register import Register
from nestmate_protocol.simulation.world import World

SHOUTS = 12
SHOUTS_COST_MIN = SHOUTS / 2
"""Mean signals all shouts must cost, however loud the others are.

Credit is counted in what others ask for, and nobody can ask for more than a shout: each
costs one mean signal or more. The other half is left for what flows back meanwhile.
"""
SLACK_MS = 1_000
MEET_SECONDS = 10.0
MEET_MS = 16_000
REUNION_MS = 60_000
INCARNATION = b"perjury perjury!"
BODY = b"wolf"


class Perjury:
    """One liar among nodes that mean well; ``key`` is the liar's."""

    def __init__(
        self, world: World, register: Register, liar: Node, key: SigningKey
    ) -> None:
        self._world = world
        self._register = register
        self._liar = liar
        self._key = key
        self._address = register.address(liar)
        self._prev: bytes | None = None
        self._seq = self._spent = 0
        self._views: dict[int, AuthorViews] = {}

    def play(self, honest: Iterable[Node]) -> None:
        """Shout, lie, and see who noticed; in a world too small nobody can."""
        others = {node.number: node for node in honest if node is not self._liar}
        known = self._meet(others.values())
        pair = self._pair(known)
        if pair is None:
            return
        self._register.turn(self._liar)
        self._seq = pair[0].now.wall_ms // 1_000
        shouts = [self._say(number) for number in range(SHOUTS)]
        self._tell(pair[0], *shouts)
        self._look(others.values(), self._is_spent, pair[0])
        prev, seq, spent = self._prev, self._seq, self._spent
        first = self._say(SHOUTS)
        self._prev, self._seq, self._spent = prev, seq, spent
        self._tell(pair[0], first)
        self._tell(pair[1], self._say(SHOUTS + 1))
        self._world.run(2 * RULE.digest_ms + SLACK_MS)
        self._look(self._reach(pair[0], known), self._knows_the_lie)
        pair[1].crash()
        self._world.start(pair[1])
        self._world.run(REUNION_MS)
        self._look(self._meet([pair[1]]), self._knows_the_lie)

    def _meet(self, nodes: Iterable[Node]) -> list[Node]:
        """Who finds the liar, be it by now or long ago; nobody can name a stranger."""
        known: list[Node] = []
        waiting = {node.number: node for node in nodes}

        def told(node: Node, response: object) -> None:
            if waiting.pop(node.number, None) and isinstance(response, AgentView):
                known.append(node)

        search = WhoIs(self._address.text, MEET_SECONDS)
        for node in list(waiting.values()):
            Line(self._world, node).ask(search, partial(told, node))
        self._world.run(MEET_MS, lambda: not waiting)
        return known

    def _pair(self, known: Iterable[Node]) -> tuple[Node, Node] | None:
        """Two neighbours who know the liar and are connected to it."""
        links = self._world.links
        near = [node for node in known if links.connected(node, self._liar)]
        for one in near:
            for other in near:
                if one is not other and links.connected(one, other):
                    return one, other
        return None

    def _reach(self, start: Node, known: list[Node]) -> list[Node]:
        """Whom news reaches from a node by way of those who know the liar."""
        found = {start.number: start}
        waiting = [start]
        while waiting:
            for node in self._world.links.neighbours(waiting.pop()):
                if node in known and node.number not in found:
                    found[node.number] = node
                    waiting.append(node)
        return list(found.values())

    def _say(self, number: int) -> bytes:
        """The liar's next call."""
        self._seq += 1
        self._spent += cost_cents(URGENCY_CODE_MAX)
        signal = Signal(
            issuer=self._address,
            key=b"%d" % number,
            skill="perjury",
            urgency_code=URGENCY_CODE_MAX,
            size_code=0,
            ttl_seconds=3_600,
            task_class=TaskClass.NORMAL,
            lease_seconds=15,
            link=Link(INCARNATION, self._seq, self._prev, self._spent),
            body=BODY,
            body_hash=sha256(BODY).digest(),
            body_bytes=len(BODY),
            created_ms=self._liar.now.wall_ms,
            generation=1,
            open_ms=0,
        )
        network = self._world.opener.network
        record = sign_record(self._key, network, Kind.SIGNAL, signal.fields())
        self._prev = record.id.raw
        return record.data

    def _tell(self, node: Node, *records: bytes) -> None:
        frame = make_frame([(record, 0) for record in records])
        node.give(Arrived(self._liar.peer, Channel.SIGNALS, frame))

    def _look(
        self,
        nodes: Iterable[Node],
        judge: Callable[[Node, AuthorViews], None],
        only: Node | None = None,
    ) -> None:
        """Ask nodes for the credit of all they heard, and judge what they say.

        A world stands still once a promise is broken, so nobody answers after that.
        """
        if self._world.complaints:
            return
        for node in nodes:
            Line(self._world, node).ask(ListAuthors(), partial(self._told, node))
        self._world.run(SLACK_MS)
        for node in nodes:
            views = self._views.pop(node.number, AuthorViews(()))
            self._in_bounds(node, views)
            if only in {None, node}:
                judge(node, views)

    def _told(self, node: Node, response: object) -> None:
        if isinstance(response, AuthorViews):
            self._views[node.number] = response

    def _in_bounds(self, node: Node, views: AuthorViews) -> None:
        for view in views.authors:
            if not 0 <= view.credit <= view.credit_max:
                name = self._register.name(view.address)
                self._complain(f"{node.name} has {view.credit} credit for {name}")

    def _is_spent(self, node: Node, views: AuthorViews) -> None:
        for view in views.authors:
            is_liar = view.address == self._address
            if is_liar and view.credit <= view.credit_max - SHOUTS_COST_MIN:
                return
        self._complain(f"{node.name} takes no credit for shouts of {self._liar.name}")

    def _knows_the_lie(self, node: Node, views: AuthorViews) -> None:
        liars = [view.address for view in views.authors if view.equivocated]
        if self._address not in liars:
            self._complain(f"{node.name} does not know that {self._liar.name} lied")

    def _complain(self, sentence: str) -> None:
        self._world.complaints.append(sentence)
