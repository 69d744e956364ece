"""Records of the field: signal and deposit, as typed bodies, out and in.

Each class is one kind. ``fields()`` gives the integer-keyed map that is signed,
``read`` takes it back from foreign fields and lets nothing but RemoteError out. A
field that holds nothing is left out of the map. Who may sign what, and whether it
still matters, is judged elsewhere; this file knows only what a well-formed record is.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar, Final, NamedTuple, TypeAlias

from nestmate_protocol.codec import Encodable, Fields
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, Address, RecordId, TaskId
from nestmate_protocol.limits import (
    APART_BYTES_MAX,
    DELEGATES_MAX,
    IDEMPOTENCY_KEY_BYTES_MAX,
    LEASE_SECONDS_MAX,
    LEASE_SECONDS_MIN,
    SIGNAL_TTL_SECONDS_MAX,
    SIZE_CODE_MAX,
    SKILL_CHARS_MAX,
    TASK_BODY_BYTES_MAX,
    TASK_INLINE_BODY_BYTES_MAX,
    TASK_INPUTS_MAX,
    URGENCY_CODE_MAX,
)
from nestmate_protocol.records import Kind

INCARNATION_BYTES: Final = 16
COUNT_MAX: Final = 2**63 - 1
GENERATION_MAX: Final = 2**31 - 1
_SKILLS_REMEMBERED: Final = 1_024
_TASK_DOMAIN: Final = b"nestmate/task"

Body: TypeAlias = dict[int, Encodable]


@unique
class TaskClass(IntEnum):
    """Whether a task may, in the worst case, be started twice."""

    NORMAL = 0
    EXCLUSIVE = 1


_CLASSES: Final = tuple(TaskClass)
_INTEGERS: Final = (
    (4, 0, URGENCY_CODE_MAX),
    (5, 0, SIZE_CODE_MAX),
    (6, 1, SIGNAL_TTL_SECONDS_MAX),
    (8, LEASE_SECONDS_MIN, LEASE_SECONDS_MAX),
    (15, 0, TASK_BODY_BYTES_MAX),
    (17, 0, COUNT_MAX),
    (22, 1, GENERATION_MAX),
    (23, 0, SIGNAL_TTL_SECONDS_MAX * 1_000),
)
"""Key, least and largest of the integers every signal has."""
_RARE: Final = frozenset({16, 18, 19, 20, 21, 24})
"""Fields of a signal that most do without."""


def task_id(issuer: Address, key: bytes) -> TaskId:
    """The task an issuer names with an idempotency key."""
    return TaskId(sha256(_TASK_DOMAIN + issuer.raw + key).digest())


@lru_cache(_SKILLS_REMEMBERED)
def is_skill_name(text: str) -> bool:
    """Whether a text can name a skill: 1 to 64 printable characters, trimmed."""
    return (
        0 < len(text) <= SKILL_CHARS_MAX
        and text.isprintable()
        and text[0] != " " != text[-1]
    )


class Link(NamedTuple):
    """A record's place in its author's spending chain of one incarnation.

    ``seq`` grows by one per link and never falls, not even from one incarnation to
    the next; ``prev`` is the id of the record before, None in the first; ``spent`` is
    the sum so far, in hundredths of a credit.
    """

    incarnation: bytes
    seq: int
    prev: bytes | None
    spent: int


class Signal(NamedTuple):
    """A signed, short-lived call for help by the task's issuer.

    A tuple and no dataclass, because one is made for every signal that comes in.

    Urgency and size are codes; ``created_ms`` is Unix ms and informative;
    ``open_ms`` is for how long the task had been open when this was signed;
    ``half_life_seconds`` 0 takes the level's; ``deadline_ms`` 0 is none. ``body`` is
    None where it travels with the lease. Tasks of one ``apart`` go to different agents.
    """

    issuer: Address
    key: bytes
    skill: str
    urgency_code: int
    size_code: int
    ttl_seconds: int
    task_class: TaskClass
    lease_seconds: int
    link: Link
    body: bytes | None
    body_hash: bytes
    body_bytes: int
    created_ms: int
    generation: int
    open_ms: int
    half_life_seconds: int = 0
    deadline_ms: int = 0
    schema: RecordId | None = None
    delegates: tuple[Address, ...] = ()
    inputs: tuple[TaskId, ...] = ()
    apart: bytes = b""

    @property
    def kind(self) -> Kind:
        """What kind of record this is the body of."""
        return Kind.SIGNAL

    def fields(self) -> Body:
        """The map to be signed."""
        link = self.link
        return present(
            {
                1: self.issuer.raw,
                2: self.key,
                3: self.skill,
                4: self.urgency_code,
                5: self.size_code,
                6: self.ttl_seconds,
                7: int(self.task_class) or None,
                8: self.lease_seconds,
                9: link.incarnation,
                10: link.seq,
                11: link.prev,
                12: link.spent,
                13: self.body,
                14: self.body_hash,
                15: self.body_bytes,
                16: self.schema.raw if self.schema else None,
                17: self.created_ms,
                18: self.half_life_seconds or None,
                19: self.deadline_ms or None,
                20: [address.raw for address in self.delegates] or None,
                21: [task.raw for task in self.inputs] or None,
                22: self.generation,
                23: self.open_ms,
                24: self.apart or None,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Signal":
        """The signal in foreign fields; a body that is not its hash is refused."""
        body = fields.octets_or(13, None, 0, TASK_INLINE_BODY_BYTES_MAX)
        body_hash = fields.octets(14, ID_BYTES, ID_BYTES)
        urgency, size, ttl, lease, body_bytes, created, generation, open_ms = (
            fields.integers(_INTEGERS)
        )
        if body is not None and (
            len(body) != body_bytes or sha256(body).digest() != body_hash
        ):
            raise RemoteError(Fault.BAD_FIELD, "the body is not what its hash says")
        signal = cls(  # in order, not by name: it takes half as long
            fields.identifier(1, Address),
            fields.octets(2, 1, IDEMPOTENCY_KEY_BYTES_MAX),
            _skill(fields),
            urgency,
            size,
            ttl,
            _CLASSES[fields.integer_or(7, 0, 0, 1)],
            lease,
            _link(fields, 9),
            body,
            body_hash,
            body_bytes,
            created,
            generation,
            open_ms,
        )
        return signal if _RARE.isdisjoint(fields.body) else _extended(signal, fields)


@dataclass(frozen=True, slots=True)
class Deposit:
    """Somebody else needs this task too, and adds an amount of urgency of its own.

    Only a depositor's largest ``n`` counts; ``amount_code`` is on the scale of
    urgency.
    """

    kind: ClassVar[Kind] = Kind.DEPOSIT

    issuer: Address
    key: bytes
    depositor: Address
    n: int
    amount_code: int
    link: Link

    def fields(self) -> Body:
        """The map to be signed."""
        link = self.link
        return present(
            {
                1: self.issuer.raw,
                2: self.key,
                3: self.depositor.raw,
                4: self.n,
                5: self.amount_code,
                6: link.incarnation,
                7: link.seq,
                8: link.prev,
                9: link.spent,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Deposit":
        """The deposit in foreign fields."""
        return cls(
            issuer=fields.identifier(1, Address),
            key=fields.octets(2, 1, IDEMPOTENCY_KEY_BYTES_MAX),
            depositor=fields.identifier(3, Address),
            n=fields.integer(4, 0, COUNT_MAX),
            amount_code=fields.integer(5, 0, URGENCY_CODE_MAX),
            link=_link(fields, 6),
        )


def _extended(signal: Signal, fields: Fields) -> Signal:
    """The same signal with the fields that most do without."""
    return signal._replace(
        half_life_seconds=fields.integer_or(18, 0, 0, SIGNAL_TTL_SECONDS_MAX),
        deadline_ms=fields.integer_or(19, 0, 0, COUNT_MAX),
        schema=fields.identifier_or(16, RecordId, None),
        delegates=fields.identifiers(20, Address, DELEGATES_MAX),
        inputs=fields.identifiers(21, TaskId, TASK_INPUTS_MAX),
        apart=fields.octets_or(24, b"", 1, APART_BYTES_MAX),
    )


def present(body: Body) -> Body:
    """A body without the fields that hold nothing."""
    return {key: value for key, value in body.items() if value is not None}


def _link(fields: Fields, first: int) -> Link:
    """The four fields of a chain link, which stand in a row from ``first`` on."""
    return Link(
        fields.octets(first, INCARNATION_BYTES, INCARNATION_BYTES),
        fields.integer(first + 1, 0, COUNT_MAX),
        fields.octets_or(first + 2, None, ID_BYTES, ID_BYTES),
        fields.integer(first + 3, 0, COUNT_MAX),
    )


def _skill(fields: Fields) -> str:
    skill = fields.text(3, SKILL_CHARS_MAX)
    if not is_skill_name(skill):
        raise RemoteError(Fault.BAD_FIELD, "skill")
    return skill
