"""Lessons: what receipts taught, kept across restarts.

A speed is saved when it is learned and dropped from the disk when it is forgotten. It
is worth little and comes again, so no save of it has to be durable. This file knows
what a lesson is and nothing of how speeds are worked out.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address
from nestmate_protocol.limits import SKILL_CHARS_MAX
from nestmate_protocol.signals.records import COUNT_MAX
from nestmate_protocol.signals.response import Speeds

SPEED_PREFIX: Final = b"s/v/"
_SKILL_BYTES = 8
_PARTS: Final = 1_000_000


def learn(
    speeds: Speeds, agent: Address, skill: str, size: float, seconds: float
) -> Save:
    """Take in one receipt, and what is to be saved of it."""
    forgotten = speeds.learn(agent, skill, size, seconds)
    writes: list[tuple[bytes, bytes | None]] = [
        (_place(old_skill, old), None) for old_skill, old in forgotten
    ]
    doublings, count = speeds.lesson(agent, skill)
    value: list[str | int | bytes] = [skill, agent.raw, _whole(doublings), count]
    writes.append((_place(skill, agent), encode([*value])))
    return Save(tuple(writes), durable=False)


def recall(speeds: Speeds, values: Iterable[bytes]) -> None:
    """Take up saved lessons; LocalError if the store is damaged."""
    for value in values:
        try:
            fields = Fields(decode(value))
            speeds.recall(
                fields.identifier(1, Address),
                fields.text(0, SKILL_CHARS_MAX),
                fields.integer(2, -COUNT_MAX, COUNT_MAX) / _PARTS,
                fields.integer(3, 1, COUNT_MAX),
            )
        except RemoteError as damage:
            raise LocalError(
                f"The store holds a speed that cannot be read ({damage}).",
                "Run `nestmate doctor`, or restore an export of the store.",
            ) from damage


def _place(skill: str, agent: Address) -> bytes:
    return SPEED_PREFIX + sha256(skill.encode()).digest()[:_SKILL_BYTES] + agent.raw


def _whole(doublings: float) -> int:
    return round(doublings * _PARTS)
