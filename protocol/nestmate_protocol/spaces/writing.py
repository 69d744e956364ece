"""Writing: what a local agent wants written, as mutations that replace what was read.

A change names what it replaces by what is live here now, or by the version its writer
has read; if another stands there, it is refused and nothing is written. Whatever was
not read stays, as a value beside. This file signs nothing and knows no rights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Value
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.limits import (
    AMOUNT_MAX,
    CREDITS_CITED_MAX,
    SUPERSEDED_PER_MUTATION_MAX,
)
from nestmate_protocol.spaces.ops import Dot, Mutation, Type, check_path
from nestmate_protocol.spaces.refusals import ConflictError
from nestmate_protocol.spaces.requests import Act, Change
from nestmate_protocol.spaces.types import (
    Entry,
    budget,
    claim,
    counter,
    lists,
    log,
    register,
    sets,
)
from nestmate_protocol.spaces.versions import read_version, version_of

FRONT: Final = "first"
_SALT_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """What a change is made from: who writes in which life, when, and what is live."""

    author: DeviceKey
    incarnation: bytes
    now: Moment
    live: Callable[[str, Type], Sequence[Entry]]
    entropy: Callable[[int], bytes]


Written = tuple[Mutation, bytes | None]
_Make = Callable[[Change, Sequence[Entry], Draft], Written]


def mutation_for(change: Change, draft: Draft) -> Written:
    """The mutation a change comes to, and its value.

    Raises LocalError for what its type does not know, and ConflictError if something
    else stands there than ``expect`` says.
    """
    check_path(change.path)
    make = _MAKERS.get((change.type, change.act))
    if make is None:
        known = sorted(act.value for kind, act in _MAKERS if kind is change.type)
        raise LocalError(
            f"a {change.type.name.lower()} knows no {change.act.value}",
            f"it knows {', '.join(known) or 'nothing that can be written'}",
        )
    live = tuple(draft.live(change.path, change.type))
    if change.expect is not None:
        _check_expected(change, live)
    return make(change, live, draft)


def _check_expected(change: Change, live: Sequence[Entry]) -> None:
    expected = set(read_version(change.expect or ""))
    found = {entry.dot for entry in live}
    if expected != found:
        raise ConflictError(
            f"something else stands at {change.path[:80]} than was read: "
            f"{len(found)} value(s), version {version_of(found)[:48]}",
            "read it again with `get`, and write with the version it shows",
        )


def _mutation(
    change: Change, action: int, replaced: Sequence[Entry] = (), arg: Value = None
) -> Mutation:
    if len(replaced) > SUPERSEDED_PER_MUTATION_MAX:
        raise LocalError(
            f"{change.path[:80]} holds more values than one write can replace",
            f"replace them by {SUPERSEDED_PER_MUTATION_MAX} at a time",
        )
    dots = tuple(sorted(entry.dot for entry in replaced))
    return Mutation(change.type, action, change.path, superseded=dots, arg=arg)


def _row(*items: Value) -> Value:
    return list(items)


def _value_of(change: Change) -> bytes:
    if change.value is None:
        raise LocalError("there is nothing to write", "give a value")
    return change.value


def _put(change: Change, live: Sequence[Entry], _: Draft) -> Written:
    return _mutation(change, register.PUT, live), _value_of(change)


def _delete(change: Change, live: Sequence[Entry], _: Draft) -> Written:
    return _mutation(change, register.DELETE, _some(change, live)), None


def _add(change: Change, _: Sequence[Entry], __: Draft) -> Written:
    return _mutation(change, sets.ADD), _value_of(change)


def _remove_element(change: Change, live: Sequence[Entry], _: Draft) -> Written:
    if change.value is not None:
        digest = sha256(change.value).digest()
        live = [entry for entry in live if entry.digest == digest]
    return _mutation(change, sets.REMOVE, _some(change, live)), None


def _append(change: Change, _: Sequence[Entry], __: Draft) -> Written:
    return _mutation(change, log.APPEND), _value_of(change)


def _increment(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    """The totals of this life of ours, and the entries of it that they replace."""
    own = [e for e in live if e.writer == (draft.author.raw, draft.incarnation)]
    totals = counter.view(own).totals
    plus, minus = next(iter(totals.values()), (0, 0))
    if change.amount >= 0:
        plus += change.amount
    else:
        minus -= change.amount
    if max(plus, minus) > AMOUNT_MAX:
        raise LocalError(f"a counter takes at most {AMOUNT_MAX} either way")
    return _mutation(change, counter.COUNT, own, arg=_row(plus, minus)), None


def _insert(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    elements = lists.view(live)
    places = [lists.position_of(entry) for entry in elements]
    index = len(elements)
    if change.at == FRONT:
        index = 0
    elif change.at:
        index = elements.index(_element(change, elements)) + 1
    before = places[index - 1] if index else b""
    after = places[index] if index < len(places) else b""
    position = lists.between(before, after, draft.entropy(_SALT_BYTES))
    return _mutation(change, lists.INSERT, arg=position), _value_of(change)


def _replace_element(change: Change, live: Sequence[Entry], _: Draft) -> Written:
    """Another value in the place of an element."""
    element = _element(change, live)
    position = lists.position_of(element)
    return _mutation(change, lists.INSERT, [element], arg=position), _value_of(change)


def _take_out(change: Change, live: Sequence[Entry], _: Draft) -> Written:
    return _mutation(change, lists.REMOVE, [_element(change, live)]), None


def _bid(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    if change.until_ms <= draft.now.wall_ms:
        raise LocalError("a claim has to last", "say for how long it is to hold")
    own = [entry for entry in live if entry.author == draft.author]
    arg = _row(_amount(change, least=0), change.until_ms)
    return _mutation(change, claim.BID, own, arg=arg), change.value


def _release(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    own = [entry for entry in live if entry.author == draft.author]
    return _mutation(change, claim.RELEASE, _some(change, own)), None


def _mint(change: Change, _: Sequence[Entry], draft: Draft) -> Written:
    to = (change.to or draft.author).raw
    arg = _row(_amount(change), to, [])
    return _mutation(change, budget.MINT, arg=arg), change.value


def _transfer(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    if change.to is None:
        raise LocalError("a transfer goes to somebody", "say to whom")
    arg = _row(_amount(change), change.to.raw, _credits(change, live, draft))
    return _mutation(change, budget.TRANSFER, arg=arg), change.value


def _spend(change: Change, live: Sequence[Entry], draft: Draft) -> Written:
    arg = _row(_amount(change), None, _credits(change, live, draft))
    return _mutation(change, budget.SPEND, arg=arg), change.value


def _credits(change: Change, live: Sequence[Entry], draft: Draft) -> Value:
    """Credits of ours not yet cited, as many as it takes beside what is left of others.

    Raises LocalError if they do not cover the amount: nothing is overspent here.
    """
    moved = {entry.dot: budget.movement_of(entry.arg) for entry in live}
    own = [e for e in live if e.author == draft.author and e.action != budget.MINT]
    debits = [m for e in own if (m := moved[e.dot]) is not None]
    cited = {dot for debit in debits for dot in debit.cited}
    mine = {
        dot: movement.amount
        for dot, movement in moved.items()
        if movement is not None and movement.to == draft.author
    }
    left = sum(amount for dot, amount in mine.items() if dot in cited)
    left -= sum(debit.amount for debit in debits)
    chosen: list[Value] = []
    for dot, amount in sorted(mine.items()):
        if left >= change.amount or len(chosen) == CREDITS_CITED_MAX:
            break
        if dot not in cited:
            chosen.append(dot)
            left += amount
    if left < change.amount:
        raise LocalError(
            f"{change.path[:80]} has {max(0, left)} left for this agent, "
            f"not {change.amount}",
            "ask for a transfer, or spend less",
        )
    return chosen


def _amount(change: Change, least: int = 1) -> int:
    if not least <= change.amount <= AMOUNT_MAX:
        raise LocalError(
            f"{change.amount} is no amount", f"give {least} to {AMOUNT_MAX}"
        )
    return change.amount


def _element(change: Change, elements: Sequence[Entry]) -> Entry:
    dots: tuple[Dot, ...] = read_version(change.at) if change.at != FRONT else ()
    found = [entry for entry in elements if entry.dot in dots]
    if len(found) != 1:
        raise LocalError(
            f"{change.path[:80]} has no such element",
            "name one by its version, as `get` shows it",
        )
    return found[0]


def _some(change: Change, entries: Sequence[Entry]) -> Sequence[Entry]:
    if not entries:
        raise LocalError(
            f"there is nothing of the kind at {change.path[:80]}",
            "see `nestmate ls` for what there is",
        )
    return entries


_MAKERS: Final[Mapping[tuple[Type, Act], _Make]] = {
    (Type.REGISTER, Act.PUT): _put,
    (Type.REGISTER, Act.DELETE): _delete,
    (Type.SET, Act.ADD): _add,
    (Type.SET, Act.REMOVE): _remove_element,
    (Type.COUNTER, Act.INCREMENT): _increment,
    (Type.LOG, Act.APPEND): _append,
    (Type.LIST, Act.INSERT): _insert,
    (Type.LIST, Act.PUT): _replace_element,
    (Type.LIST, Act.REMOVE): _take_out,
    (Type.CLAIM, Act.BID): _bid,
    (Type.CLAIM, Act.RELEASE): _release,
    (Type.BUDGET, Act.MINT): _mint,
    (Type.BUDGET, Act.TRANSFER): _transfer,
    (Type.BUDGET, Act.SPEND): _spend,
}
