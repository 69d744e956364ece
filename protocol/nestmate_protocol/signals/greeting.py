"""Greeting: which open calls a node that has just come by is told of.

Our own, all of them; those who hear them so are counted among those who were told, and
will hear of their end. Of others' calls only those that came here over their topics,
where their ends will come too: what is told further from one to the next outlives its
end, for nobody knows whom to tell of that. And to an issuer its own calls: it answers
those that are over. Nobody's tasks are told beyond the pace that
would let them in. This file knows neither workers nor what they say.
"""

from collections.abc import Collection

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import SIGNALS_PER_AUTHOR_BURST
from nestmate_protocol.signals.cells import Cell, Stage
from nestmate_protocol.signals.emitter import Emitter
from nestmate_protocol.signals.field import Field


def calls(
    field: Field,
    emitter: Emitter,
    me: Address,
    to: Address,
    now: Moment,
    *,
    ageing: float,
    skills: Collection[str] | None,
) -> list[Cell]:
    """Open tasks in the order in which they matter: ours, then the strongest.

    They are for the agent ``to``; ``ageing`` is A in seconds; ``skills`` are all that
    matter, or all there are.
    """
    cells = [
        (cell.signal.issuer != me, -cell.strength(now.mono_ms, ageing), cell)
        for cell in field
        if cell.life.stage == Stage.OPEN
        and (cell.wide or cell.signal.issuer == to or emitter.calls(cell.task))
        and not cell.is_gone(now)
        and (skills is None or cell.signal.skill in skills)
    ]
    cells.sort(key=lambda entry: (*entry[:2], entry[2].task))
    told: dict[bytes, int] = {}
    chosen: list[Cell] = []
    for _, _, cell in cells:
        issuer = cell.signal.issuer.raw
        told[issuer] = told.get(issuer, 0) + 1
        if told[issuer] <= SIGNALS_PER_AUTHOR_BURST:
            chosen.append(cell)
    return chosen
