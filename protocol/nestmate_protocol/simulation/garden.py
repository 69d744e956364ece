"""The garden: a space that the agents of a world share, and what must be so in it.

One agent founds it and lets the others in; all write, each at paths of its own and at
some where they meet; now and then one is shown the door and goes on writing. What a
node has acknowledged must be there in the end wherever the space is, unless its author
was shown out, and then nowhere where it came too late; and all copies must be equal.
Everything goes through the front door. This file knows no op.
"""

from dataclasses import dataclass, field
from functools import partial

from nestmate_protocol.core import Identity
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import Address, DeviceKey, SpaceId
from nestmate_protocol.simulation.agents import Line
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.nodes import Node
from nestmate_protocol.simulation.scenarios import Scenario
from nestmate_protocol.simulation.world import World
from nestmate_protocol.spaces.ops import Type
from nestmate_protocol.spaces.requests import (
    Act,
    Change,
    Changed,
    CreateSpace,
    DocumentViews,
    GrantRights,
    GrantViews,
    JoinSpace,
    ListMembers,
    ListPaths,
    Revoked,
    RevokeGrant,
    ShowSpace,
    SpaceView,
    Standing,
    WriteChanges,
)

NAME = "garden"
SHARED_PATHS = 4
LOOK_MS = 2_000
RETRY_MS = 1_500
STAY_MIN = 2
READ_MS = 10_000


@dataclass(slots=True)
class Plot:
    """One agent's part: whose it is, what was acknowledged, what its copy shows."""

    line: Line
    address: Address
    key: DeviceKey
    joined: bool = False
    acked: dict[str, bytes] = field(default_factory=dict)
    state: bytes = b""

    @property
    def number(self) -> int:
        """The number of its node."""
        return self.line.node.number


class Garden:
    """The space, its members, and what was promised to them."""

    def __init__(
        self, world: World, plots: list[Plot], dice: Dice, writes: int, over_ms: int
    ) -> None:
        self._world = world
        self._plots = plots
        self.founder = plots[0]
        self._dice = dice
        self._writes = writes
        self._over_ms = over_ms
        self._space: SpaceId | None = None
        self._out: Plot | None = None
        self._wants_out = dice.chance(0.5)
        self._stopped = False

    def __repr__(self) -> str:
        return f"<Garden of {len(self._plots)}>"

    # --- what agents do

    def begin(self) -> None:
        """Found it, and try again until it is there."""
        if self._space is None:
            self.founder.line.ask(CreateSpace(NAME), self._founded)

    def _founded(self, response: object) -> None:
        if not isinstance(response, SpaceView):
            self._world.after(RETRY_MS, self.begin)
            return
        self._space = response.space
        self.founder.joined = True
        for plot in self._plots[1:]:
            self._let_in(plot)
        for number in range(self._writes):
            plot = self._dice.pick(self._plots)
            action = partial(self._write, plot, number)
            self._world.after(self._dice.below(self._over_ms), action)
        if self._wants_out and len(self._plots) > STAY_MIN:
            out = self._dice.pick(self._plots[1:])
            action = partial(self._show_out, out)
            self._world.after(self._dice.below(self._over_ms), action)

    def _let_in(self, plot: Plot) -> None:
        wish = GrantRights(
            self._text, plot.address, (plot.key,), Rights.READ | Rights.WRITE
        )
        self.founder.line.ask(wish, partial(self._granted, plot))

    def _granted(self, plot: Plot, response: object) -> None:
        if isinstance(response, Changed):
            self._join(plot)
        else:
            self._world.after(RETRY_MS, partial(self._let_in, plot))

    def _join(self, plot: Plot) -> None:
        plot.line.ask(JoinSpace(self._text), partial(self._joined, plot))

    def _joined(self, plot: Plot, response: object) -> None:
        if isinstance(response, SpaceView):
            plot.joined = True
        else:
            self._world.after(RETRY_MS, partial(self._join, plot))

    def _write(self, plot: Plot, number: int) -> None:
        """One op: a note of its own, and maybe a word where all meet."""
        if not plot.joined:
            return
        path, value = f"n{plot.number}/{number}", self._dice.octets(8)
        changes = [Change(path, value=value)]
        if self._dice.chance(0.5):
            shared = f"shared/{self._dice.below(SHARED_PATHS)}"
            changes.append(self._dice.pick(_words(shared, value)))
        wish = WriteChanges(self._text, tuple(changes))
        plot.line.ask(wish, partial(self._written, plot, path, value))

    def _written(self, plot: Plot, path: str, value: bytes, response: object) -> None:
        if isinstance(response, Changed):
            plot.acked[path] = value

    def _show_out(self, plot: Plot) -> None:
        self.founder.line.ask(ListMembers(self._text), partial(self._listed, plot))

    def _listed(self, plot: Plot, response: object) -> None:
        grants = response.grants if isinstance(response, GrantViews) else ()
        for view in grants:
            if view.who == plot.address and view.grant:
                wish = RevokeGrant(self._text, (view.grant,))
                self.founder.line.ask(wish, partial(self._shown_out, plot))
                return

    def _shown_out(self, plot: Plot, response: object) -> None:
        if isinstance(response, Revoked):
            self._out = plot

    # --- what must be so in the end

    def look(self) -> None:
        """Ask every copy how it stands, again and again."""
        if self._stopped:
            return
        for plot in self._here():
            plot.line.ask(ShowSpace(self._text), partial(self._seen, plot))
        self._world.after(LOOK_MS, self.look)

    def _seen(self, plot: Plot, response: object) -> None:
        plot.state = b""
        if isinstance(response, SpaceView) and response.standing is Standing.MEMBER:
            plot.state = response.state

    @property
    def settled(self) -> bool:
        """Whether all copies are there, and equal."""
        states = {plot.state for plot in self._here() if plot is not self._out}
        return len(states) == 1 and b"" not in states

    def judge(self) -> None:
        """Say what is not so, long after everything healed."""
        self._stopped = True
        complain = self._world.complaints.append
        if self._space is None:
            if self.founder.number not in self._world.gone:
                complain("a space could not be founded")
            return
        if not self.settled:
            stands = ", ".join(
                f"n{plot.number} {plot.state.hex()[:8]}" for plot in self._here()
            )
            complain(f"copies of a space differ: {stands}")
        for plot in self._here():
            if plot is not self._out:
                told = partial(self._read, plot)
                plot.line.ask(ListPaths(self._text, "", "", 1_000), told)
        self._world.run(READ_MS)

    def _read(self, plot: Plot, response: object) -> None:
        """Everything that was acknowledged is in a copy, if its author is still in."""
        shown = response.documents if isinstance(response, DocumentViews) else ()
        there = {view.path: view.value for view in shown}
        for author in self._here():
            if author is self._out:
                continue
            for path, value in author.acked.items():
                if there.get(path) != value:
                    sentence = f"n{plot.number} lacks {path}, which was acknowledged"
                    self._world.complaints.append(sentence)

    def _here(self) -> list[Plot]:
        """Those whose nodes did not leave for good."""
        return [plot for plot in self._plots if plot.number not in self._world.gone]

    @property
    def _text(self) -> str:
        return "" if self._space is None else self._space.text


def _words(path: str, value: bytes) -> list[Change]:
    """What may be written where all meet, of several types."""
    return [
        Change(path, value=value),
        Change(path, Type.COUNTER, Act.INCREMENT, amount=1),
        Change(path, Type.SET, Act.ADD, value),
        Change(path, Type.LOG, Act.APPEND, value),
        Change(path, Type.LIST, Act.INSERT, value),
    ]


def garden_in(
    world: World, plan: Scenario, members: list[tuple[Node, Identity]]
) -> Garden | None:
    """A space that these are to share, if the plan has any.

    None where clocks are off: what is written too far ahead of the clocks of others
    waits there until its time has come.
    """
    if not plan.writes or plan.offset_ms or plan.rates.jump_seconds:
        return None
    plots = [
        Plot(Line(world, node), who.log.address, who.device.public)
        for node, who in members
    ]
    dice, over_ms = world.dice.fork("garden"), plan.seconds * 900
    return Garden(world, plots, dice, plan.writes, over_ms)
