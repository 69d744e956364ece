"""Convergence: replicas that exchange what they offer must come to agree, whoever lies.

Each history is dealt out to a few replicas, none of which has all of it; then pairs of
them exchange what they offer until nothing moves any more, and may forget what is void
meanwhile. All must then offer the same and show the same. Beside it, the engine is led
through the same history and must agree with the specification after every op. This
file knows no network and no wire.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from nestmate_protocol.ids import RecordId, SpaceId
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.histories import History, history
from nestmate_protocol.spaces.ops import Op
from nestmate_protocol.spaces.state import State, state

REPLICAS = 4
ROUNDS_MAX = 12
HELD_SHARE = 0.6
FORGETTING = (0.0, 0.5, 1.0)

Offer = Callable[[State], frozenset[RecordId]]
"""What a replica shows others, given what its ops come to."""


class Twin(Protocol):
    """What is compared with the specification: it takes ops one by one."""

    def take(self, op: Op) -> None:
        """Take in one op, maybe before those it rests on; twice is once."""

    def restart(self) -> None:
        """Begin anew from what is on disk; what waits for others is lost."""

    def seen(self) -> "Seen":
        """What all ops taken so far come to."""


MakeTwin = Callable[[SpaceId], Twin]
"""Makes a twin that holds nothing of a space yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine and the specification must agree on.

    The ephemeral lane is left out: an engine forgets at once what nobody will ask for.
    """

    valid: frozenset[RecordId]
    offered: frozenset[RecordId]
    live: Mapping[tuple[str, int], tuple[bytes, ...]]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one history; ``broken`` is a sentence, empty if all agreed."""

    seed: int
    ops: int
    rounds: int
    broken: str


def offered(known: State) -> frozenset[RecordId]:
    """What a replica has to offer."""
    return known.offered


class Replica:
    """One holder of a part of the ops; what they come to is found out when asked."""

    def __init__(self, story: History, ops: Iterable[Op], offer: Offer) -> None:
        self._story = story
        self._offer = offer
        self._ops = {op.id: op for op in ops}
        self._known: State | None = None

    def __repr__(self) -> str:
        return f"<Replica of {len(self._ops)} ops>"

    @property
    def known(self) -> State:
        """What its ops come to; those that do not stand are not kept."""
        if self._known is None:
            self._known = known = state(self._story.space, self._ops)
            self._ops = {op.id: op for op in self._ops.values() if op.id in known.held}
        return self._known

    @property
    def offers(self) -> dict[RecordId, Op]:
        """The ops it shows others."""
        ids = self._offer(self.known)
        return {each: self._ops[each] for each in ids}

    def take(self, ops: Mapping[RecordId, Op]) -> bool:
        """Take in ops; whether any was new."""
        if ops.keys() <= self._ops.keys():
            return False
        self._ops = {**self._ops, **ops}
        self._known = None
        return True

    def forget(self, dice: Dice, share: float) -> None:
        """Drop a share of what is void and nobody asks for."""
        offers = self.offers
        kept = {
            each: op
            for each, op in self._ops.items()
            if each in offers or not dice.chance(share)
        }
        if len(kept) < len(self._ops):
            self._ops = kept
            self._known = None


def converge(
    story: History, forgetting: float = 0.0, offer: Offer = offered
) -> Verdict:
    """Deal a history out, let the replicas talk until nothing moves, and compare.

    ``forgetting`` is the share of void ops dropped after each exchange; ``offer``
    replaces the rule of what is offered, for twins with a bug planted.
    """
    dice = Dice(story.seed).fork(f"convergence {forgetting}")
    first, *others = story.ops
    replicas = [
        Replica(story, [first, *(o for o in others if dice.chance(HELD_SHARE))], offer)
        for _ in range(REPLICAS)
    ]
    pairs = [(a, b) for b in range(REPLICAS) for a in range(b)]
    rounds, moved = 0, True
    while moved and rounds < ROUNDS_MAX:
        rounds, moved = rounds + 1, False
        for a, b in dice.shuffled(pairs):
            moved |= _exchange(replicas[a], replicas[b])
            if forgetting:
                replicas[a].forget(dice, forgetting)
                replicas[b].forget(dice, forgetting)
    return Verdict(story.seed, len(story.ops), rounds, _disagreement(replicas, moved))


def _exchange(one: Replica, other: Replica) -> bool:
    """Both take what the other offered before; whether anything moved."""
    theirs, ours = other.offers, one.offers
    moved_here = one.take(theirs)
    return other.take(ours) or moved_here


def _disagreement(replicas: list[Replica], moved: bool) -> str:
    if moved:
        return f"ops still move after {ROUNDS_MAX} rounds"
    first, *others = replicas
    for place, each in enumerate(others, start=1):
        if each.known.offered != first.known.offered:
            differ = len(each.known.offered ^ first.known.offered)
            return f"replicas 0 and {place} differ in {differ} offered ops"
        if each.known.hash != first.known.hash:
            return f"replicas 0 and {place} offer the same and show something else"
    return ""


def follow(story: History, twin: Twin, every: int = 1) -> str:
    """Lead a twin through a history in another order; a sentence on where it strays.

    Ops come in any order, some of them twice; after each ``every`` of them, and at the
    end, twin and specification must see the same. Once it is restarted, and told again
    all that it took in before.
    """
    dice = Dice(story.seed).fork("delivery")
    taken: dict[RecordId, Op] = {}
    restarts = dice.below(len(story.ops))
    for count, op in enumerate(_delivered(story, dice), start=1):
        twin.take(op)
        taken[op.id] = op
        if count == restarts:
            twin.restart()
            for each in taken.values():
                twin.take(each)
        if count % every == 0 or len(taken) == len(story.ops):
            found = difference(seen_in(state(story.space, taken)), twin.seen())
            if found:
                return f"after {count} ops: {found}"
    return ""


def difference(wanted: Seen, found: Seen) -> str:
    """In what two sights differ first, as a sentence; empty if they agree."""
    for name in ("valid", "offered"):
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if ours != theirs:
            more, less = len(theirs - ours), len(ours - theirs)
            return f"{more} ops too many and {less} too few are {name}"
    keys = wanted.live.keys() | found.live.keys()
    for path, kind in sorted(keys):
        if wanted.live.get((path, kind)) != found.live.get((path, kind)):
            return f"other entries are live at {path}, type {kind}"
    return "" if wanted.hash == found.hash else "the hashes differ"


def seen_in(known: State) -> Seen:
    """What the specification sees, without the ephemeral lane."""
    lasting = known.lasting
    live = {
        (path, int(kind)): tuple(entry.dot for entry in entries)
        for (path, kind), entries in known.live.items()
    }
    return Seen(
        valid=known.valid & lasting,
        offered=known.offered & lasting,
        live=live,
        hash=known.hash,
    )


def _delivered(story: History, dice: Dice) -> Iterable[Op]:
    """The ops in an order drawn anew, some of them twice."""
    for op in dice.shuffled(story.ops):
        yield op
        if dice.chance(0.05):
            yield op


def judge(seed: int, make_twin: MakeTwin | None = None) -> Verdict:
    """Everything that is asked of one history, with each share of forgetting."""
    story = history(seed)
    rounds = 0
    for forgetting in FORGETTING:
        verdict = converge(story, forgetting)
        rounds = max(rounds, verdict.rounds)
        if verdict.broken:
            broken = f"{verdict.broken} (forgetting {forgetting})"
            return Verdict(seed, len(story.ops), rounds, broken)
    strayed = "" if make_twin is None else follow(story, make_twin(story.space))
    broken = f"the engine strays {strayed}" if strayed else ""
    return Verdict(seed, len(story.ops), rounds, broken)


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of many histories, from ``seed`` on; ``broken`` are the sentences."""

    seed: int
    histories: int
    ops: int
    rounds_max: int
    broken: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all replicas agreed in all of them."""
        return not self.broken

    def lines(self) -> tuple[str, ...]:
        """The tally for people."""
        told = f"seeds {self.seed} to {self.seed + self.histories - 1}"
        most = f"at most {self.rounds_max} rounds until nothing moved"
        return (
            f"{self.histories} histories of {self.ops} ops, {told}",
            f"each on {REPLICAS} replicas, forgetting {FORGETTING} of what is void",
            most,
            *(f"broken   {sentence}" for sentence in self.broken),
            *(("all replicas agreed",) if self.ok else ()),
        )

    def as_dict(self) -> dict[str, object]:
        """The tally for programs."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "histories": self.histories,
            "ops": self.ops,
            "rounds_max": self.rounds_max,
            "broken": list(self.broken),
        }


def judge_many(
    histories: int, seed: int = 0, make_twin: MakeTwin | None = None
) -> Tally:
    """Judge so many histories, one for each seed from ``seed`` on."""
    verdicts = [judge(each, make_twin) for each in range(seed, seed + histories)]
    return Tally(
        seed=seed,
        histories=histories,
        ops=sum(each.ops for each in verdicts),
        rounds_max=max((each.rounds for each in verdicts), default=0),
        broken=tuple(f"seed {v.seed}: {v.broken}" for v in verdicts if v.broken),
    )
