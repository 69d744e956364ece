"""Histories: what a few authors, some of them liars, may have written into a space.

From one number comes one story of real ops: forks and new lives, times out of the past
and the future, caps that were never held, grants of more than one has, revocations by
anyone of anything with cuts that make no sense, founders that need each other, and
plain rubbish, among the daily work of honest members. This file judges nothing.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from nestmate_protocol.clocks import COUNTER_BITS
from nestmate_protocol.codec import Value
from nestmate_protocol.grants import ALL_RIGHTS, SELF, Grant, Rights
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.ids import ID_BYTES, DeviceKey, RecordId, SpaceId
from nestmate_protocol.keys import recovery_key, rotation_key
from nestmate_protocol.simulation.dice import Dice
from nestmate_protocol.simulation.scribes import START_MS, Draft, Scribe
from nestmate_protocol.spaces.auth import (
    closing,
    endorsing,
    grant_in,
    granting,
    leaving,
    revoking,
    takes_over,
)
from nestmate_protocol.spaces.keyring import secret_of
from nestmate_protocol.spaces.ops import DOT_BYTES, Dot, Lane, Mutation, Op, Type
from nestmate_protocol.spaces.types.budget import SPEND

STEPS: Final = (40, 80, 120)
AUTHORS_MIN, AUTHORS_MAX = 3, 6
FOUNDERS_MAX: Final = 3
MINUTE_MS: Final = 60_000

_PATHS: Final = ("a", "a/b", "c", ".policy/a")
_PREFIXES: Final = ("", "a", "a/b", "c", ".policy", f"a/{SELF}")
_TYPES: Final = tuple(kind for kind in Type if not kind.is_auth)
# how often each act comes up, of a hundred
_ACTS: Final = (
    *("data",) * 52,
    *("grant",) * 17,
    *("revoke",) * 10,
    *("endorse",) * 9,
    *("leave",) * 2,
    *("ephemeral",) * 5,
    *("rubbish",) * 5,
)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was written, each op after all that it rests on."""

    seed: int
    space: SpaceId
    ops: tuple[Op, ...]

    def by_id(self) -> dict[RecordId, Op]:
        """The ops as a set."""
        return {op.id: op for op in self.ops}


def history(
    seed: int, steps: int | None = None, secret: bytes | None = None
) -> History:
    """The story that a seed tells, in so many steps; None draws one of STEPS.

    With a ``secret`` of 32 bytes the space is private and all of its authors have it;
    what is sealed is told as they see it, and the bytes of the ops are sealed.
    """
    return _Story(seed, steps, secret).told()


@dataclass
class _Known:
    """What all authors know of: grants and what they came from, dots, and ops."""

    grants: dict[Dot, Grant] = field(default_factory=dict)
    parents: dict[Dot, Dot | None] = field(default_factory=dict)
    sound: set[Dot] = field(default_factory=set)
    dots: dict[tuple[str, Type], list[Dot]] = field(
        default_factory=lambda: defaultdict(list)
    )
    ops: list[Op] = field(default_factory=list)


class _Story:
    """One seed's authors at work; everybody knows all, and each does as it likes."""

    def __init__(self, seed: int, steps: int | None, secret: bytes | None) -> None:
        self._dice = dice = Dice(seed).fork("history")
        self._seed = seed
        self._steps = dice.pick(STEPS) if steps is None else steps
        count = dice.between(AUTHORS_MIN, AUTHORS_MAX)
        self._authors = [Scribe(f"author {n}") for n in range(count)]
        self._logs: dict[DeviceKey, tuple[bytes, ...]] = {}
        self._old_keys: dict[DeviceKey, DeviceKey] = {}
        if dice.chance(0.5):
            self._rotate(self._authors[-2], self._authors[-1])
        founders = self._authors[: dice.between(1, min(FOUNDERS_MAX, count - 1))]
        self._founders = founders
        self._known = known = _Known()
        self._contents = _Contents(dice, known, self._authors)
        self._hlc = START_MS << COUNTER_BITS
        threshold, private = dice.between(1, len(founders)), secret is not None
        self._note(founders[0].found(founders, threshold, private=private))
        for author in self._authors:
            author.space = founders[0].space
            if secret is not None:
                author.secret = secret_of(author.space, secret)

    def _rotate(self, old: Scribe, new: Scribe) -> None:
        """Let one author be the rotated key of another."""
        phrase = b"\x09" * 32
        nexts = [rotation_key(phrase, n) for n in (1, 2)]
        recovery = recovery_key(phrase).public
        log = begin_log(old.key, nexts[0].public, recovery, b"n" * 16)
        rotated = rotate_log(log, nexts[0], [new.public], nexts[1].public)
        old.address = new.address = log.address
        self._logs[old.public], self._logs[new.public] = log.entries, rotated.entries
        self._old_keys[new.public] = old.public

    def told(self) -> History:
        """The whole story: founders let others in, and then anything may happen."""
        for _ in self._authors[1:]:
            founder = self._dice.pick(self._founders)
            self._write(founder, Draft([granting(self._grant(founder, None))]))
        for _ in range(self._steps):
            self._step()
        return History(self._seed, self._founders[0].space, tuple(self._known.ops))

    def _step(self) -> None:
        dice = self._dice
        author, act = dice.pick(self._authors), dice.pick(_ACTS)
        cap, target = self._cap(author), self._any_grant()
        old = self._old_keys.get(author.public)
        if act == "grant" and old is not None and dice.chance(0.9):
            cap = self._inherited(old) or cap
        if act == "revoke" and dice.chance(0.6):
            author, cap = self._entitled(target)
        elif act == "endorse" and dice.chance(0.7):
            author, cap = dice.pick(self._founders), None
        match act:
            case "grant":
                draft = Draft([granting(self._grant(author, cap))], cap=cap)
            case "revoke":
                draft = Draft([self._revocation(target)], cap=cap)
            case "endorse":
                draft = Draft([endorsing(self._some_ops(1, 4))], cap=cap)
            case "leave":
                draft = Draft([leaving()], cap=cap)
            case "rubbish":
                draft = Draft([self._rubbish()], cap=cap)
            case _:
                now_ms = self._hlc >> COUNTER_BITS
                ephemeral = act == "ephemeral"
                draft = self._contents.draft(cap, now_ms, ephemeral=ephemeral)
        self._write(author, draft)

    # --- who acts, under which cap, at what time and after what

    def _cap(self, author: Scribe) -> Dot | None:
        """Mostly one that the author holds; now and then anybody's, or nobody's."""
        dice = self._dice
        grants = self._known.grants
        own = [d for d, given in grants.items() if author.public in given.keys]
        if author in self._founders and dice.chance(0.6):
            return None
        if own and dice.chance(0.85):
            return dice.pick(own[-3:])
        if dice.chance(0.7):
            return self._any_grant()
        return None if dice.chance(0.6) else any_dot(dice)

    def _write(self, author: Scribe, draft: Draft) -> None:
        dice, after = self._dice, None
        older = [op for op in author.written if op.place.lane is draft.lane]
        if older and draft.lane is not Lane.EPHEMERAL and dice.chance(0.15):
            after = dice.pick(older)
            author.life += dice.below(2)
        self._hlc += dice.between(1, 2 * MINUTE_MS) << COUNTER_BITS
        hlc = self._hlc
        if dice.chance(0.2):
            hlc += dice.between(-90 * MINUTE_MS, 90 * MINUTE_MS) << COUNTER_BITS
        before = author.tips.get(draft.lane)
        op = author.write(draft, hlc, after)
        self._note(op)
        if not self._stands(op) and dice.chance(0.9):
            author.go_back(draft.lane, before)

    def _stands(self, op: Op) -> bool:
        """Whether its author had a sound grant; what follows it is lost otherwise."""
        known, cap = self._known, op.place.cap
        if cap is None:
            return any(op.author == each.public for each in self._founders)
        if cap not in known.sound:
            return False
        given = known.grants[cap]
        named = op.author in given.keys
        return named or takes_over(op.mutations or (), given, op.author)

    def _note(self, op: Op) -> None:
        known = self._known
        known.ops.append(op)
        for n, mutation in enumerate(op.mutations or ()):
            known.dots[mutation.path, mutation.type].append(op.dot(n))
            if (grant := grant_in(mutation)) is not None:
                known.grants[op.dot(n)] = grant
                known.parents[op.dot(n)] = op.place.cap
                if self._stands(op) and self._could_give(op, grant):
                    known.sound.add(op.dot(n))

    def _could_give(self, op: Op, grant: Grant) -> bool:
        cap = op.place.cap
        return cap is None or self._known.grants[cap].lets_issue(grant, op.author)

    # --- the auth lane

    def _grant(self, author: Scribe, cap: Dot | None) -> Grant:
        """A grant to anybody; usually within the cap, sometimes beyond it."""
        dice, taker = self._dice, self._dice.pick(self._authors)
        parent = self._known.grants.get(cap) if cap else None
        if parent is not None and author.public in self._logs and dice.chance(0.7):
            log = self._logs[author.public]
            return replace(parent, keys=(author.public,), log=log, generation=len(log))
        rights, depth = Rights(dice.below(32)), dice.below(4)
        if parent is not None and dice.chance(0.75):
            rights, depth = rights & parent.rights, max(0, parent.depth - 1)
        elif dice.chance(0.6):
            rights, depth = ALL_RIGHTS, dice.between(1, 4)
        keys = {taker.public}
        if dice.chance(0.15):
            keys.add(dice.pick(self._authors).public)
        is_invite = dice.chance(0.1)
        return Grant(
            who=None if is_invite else taker.address,
            keys=tuple(sorted(keys)),
            rights=rights,
            paths=self._paths(parent),
            types=frozenset(self._some_types()) if dice.chance(0.15) else None,
            expires_ms=self._expiry_ms(parent),
            depth=depth,
            generation=int(taker.public in self._logs),
            closes_ms=self._expiry_ms(None) if is_invite else 0,
        )

    def _paths(self, parent: Grant | None) -> tuple[str, ...]:
        if parent is not None and self._dice.chance(0.6):
            return parent.areas
        count = self._dice.between(1, 2)
        return tuple(self._dice.pick(_PREFIXES) for _ in range(count))

    def _some_types(self) -> list[Type]:
        return [kind for kind in _TYPES if self._dice.chance(0.6)]

    def _expiry_ms(self, parent: Grant | None) -> int:
        now_ms = self._hlc >> COUNTER_BITS
        if self._dice.chance(0.15):
            return now_ms + self._dice.between(-10, 90) * MINUTE_MS
        return parent.expires_ms if parent and self._dice.chance(0.8) else 0

    def _inherited(self, old: DeviceKey) -> Dot | None:
        """A grant of the key an author had before, if there is one."""
        grants = self._known.grants
        known = [dot for dot, given in grants.items() if old in given.keys]
        return self._dice.pick(known) if known else None

    def _any_grant(self) -> Dot:
        known = self._known.grants
        return self._dice.pick(list(known)) if known else any_dot(self._dice)

    def _entitled(self, grant: Dot) -> tuple[Scribe, Dot | None]:
        """Somebody above a grant, and the cap to revoke it under."""
        dice, cap = self._dice, self._known.parents.get(grant)
        while cap in self._known.parents and dice.chance(0.3):
            cap = self._known.parents[cap]
        given = self._known.grants.get(cap) if cap else None
        if given is None:
            return dice.pick(self._founders), None
        holders = [each for each in self._authors if each.public in given.keys]
        return dice.pick(holders), cap

    def _revocation(self, grant: Dot) -> Mutation:
        """The end of a grant, with a cut that may or may not make sense."""
        dice = self._dice
        tips = [op.id for author in self._authors for op in author.tips.values()]
        match dice.below(5):
            case 0:
                heads = tips
            case 1:
                heads = [each for each in tips if dice.chance(0.5)]
            case 2 | 3:
                heads = self._some_ops(1, 8)
            case _:
                heads = []
        if dice.chance(0.1):
            heads = [*heads, RecordId(dice.octets(ID_BYTES))]
        return (closing if dice.chance(0.3) else revoking)(grant, heads)

    def _some_ops(self, least: int, most: int) -> list[RecordId]:
        """Ops of anybody, the recent ones more often."""
        dice, ops = self._dice, self._known.ops
        recent = ops[-12:] if dice.chance(0.6) else ops
        return [dice.pick(recent).id for _ in range(dice.between(least, most))]

    def _rubbish(self) -> Mutation:
        """An auth mutation that means nothing, or is in the wrong place."""
        kind = self._dice.pick([kind for kind in Type if kind.is_auth])
        args: tuple[Value, ...] = (
            None,
            7,
            [],
            {1: []},
            [b"dot", []],
            [b"x" * ID_BYTES],
        )
        return Mutation(kind, self._dice.below(2), "", arg=self._dice.pick(args))


class _Contents:
    """What authors write into the lanes of data: sense, mistakes and lies."""

    def __init__(self, dice: Dice, known: _Known, authors: list[Scribe]) -> None:
        self._dice = dice
        self._known = known
        self._authors = authors
        self._now_ms = START_MS

    def draft(self, cap: Dot | None, now_ms: int, *, ephemeral: bool) -> Draft:
        """One to three mutations; an ephemeral op ends a minute from now."""
        self._now_ms = now_ms
        dice = self._dice
        mutations, values = [], []
        for _ in range(dice.pick((1, 1, 1, 2, 3))):
            mutation, value = self._mutation()
            mutations.append(mutation)
            values.append(value)
        expires_ms = self._now_ms + MINUTE_MS if ephemeral else 0
        return Draft(mutations, values, cap, expires_ms)

    def _mutation(self) -> tuple[Mutation, bytes | None]:
        dice = self._dice
        path, kind = dice.pick(_PATHS), dice.pick(_TYPES)
        if dice.chance(0.1):
            path = f"a/{dice.pick(self._authors).address.text}"
        if dice.chance(0.4):
            kind = Type.REGISTER
        action = 1 if dice.chance(0.25) else 0
        if kind in {Type.COUNTER, Type.LOG}:
            action = 0
        elif kind is Type.BUDGET:
            action = dice.below(3)
        arg = self._arg(kind, action)
        takes_value = kind in {Type.REGISTER, Type.SET, Type.LIST} and not action
        value = None
        if takes_value or kind is Type.LOG:
            value = b"%d" % dice.below(6)
        if dice.chance(0.03):
            wrong: tuple[Value, ...] = ([1], b"\0", None)
            action, arg = dice.below(4), dice.pick(wrong)
        sup = self._superseded(path, kind) if dice.chance(0.6) else ()
        return Mutation(kind, action, path, superseded=sup, arg=arg), value

    def _arg(self, kind: Type, action: int) -> Value:
        dice = self._dice
        match kind:
            case Type.COUNTER:
                return [dice.below(50), dice.below(50)]
            case Type.LIST if action == 0:
                return bytes([dice.between(1, 255)])
            case Type.CLAIM if action == 0:
                return [dice.below(9), self._now_ms + dice.below(9)]
            case Type.BUDGET:
                return self._movement(action)
            case _:
                return None

    def _movement(self, action: int) -> Value:
        dice = self._dice
        to = None if action == SPEND else dice.pick(self._authors).public.raw
        dots = [
            dot
            for (_, kind), dots in self._known.dots.items()
            if kind is Type.BUDGET
            for dot in dots
        ]
        cited: list[Value] = []
        if action and dots:
            cited += [dice.pick(dots) for _ in range(dice.between(1, 4))]
        return [dice.between(1, 20), to, cited]

    def _superseded(self, path: str, kind: Type) -> tuple[Dot, ...]:
        """What an honest writer saw there, or any dots at all."""
        dice, dots = self._dice, self._known.dots
        if dice.chance(0.1):
            return (any_dot(self._dice),)
        known = dots[path, kind]
        if dice.chance(0.1):
            known = dots[dice.pick(sorted(dots))]
        return tuple(dot for dot in known[-8:] if dice.chance(0.7))


def any_dot(dice: Dice) -> Dot:
    """A dot of nothing anybody wrote."""
    return Dot(dice.octets(DOT_BYTES))
