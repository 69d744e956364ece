"""The shelf: own tasks and held claims as they lie on disk.

Everything is under the board's prefix ``b"s/"`` and is this node's own writing, so a
value that cannot be read is a damaged store and is said to be one. This file knows
what has to outlive a restart and nothing of what is done with it.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, NamedTuple

from nestmate_protocol.codec import Encodable, Fields, Value, decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import (
    APART_BYTES_MAX,
    DELEGATES_MAX,
    FRAME_BYTES_MAX,
    IDEMPOTENCY_KEY_BYTES_MAX,
    LEASE_SECONDS_MAX,
    REASON_CHARS_MAX,
    RECORD_BYTES_MAX,
    RESULT_BYTES_MAX,
    SIGNAL_TTL_SECONDS_MAX,
    SIZE_CODE_MAX,
    SKILL_CHARS_MAX,
    TASK_BODY_BYTES_MAX,
    TASK_INPUTS_MAX,
    URGENCY_CODE_MAX,
)
from nestmate_protocol.signals.claims import Supply, read_supplies, supply_rows
from nestmate_protocol.signals.records import (
    COUNT_MAX,
    GENERATION_MAX,
    Body,
    TaskClass,
    present,
    task_id,
)
from nestmate_protocol.signals.requests import TaskStatus

TASK_PREFIX: Final = b"s/t/"
CLAIM_PREFIX: Final = b"s/c/"
SEQUENCE_KEY: Final = b"s/seq"
_STATUSES: Final = tuple(TaskStatus)


class Source(NamedTuple):
    """A task that another one has to do with, and who issued it."""

    task: TaskId
    issuer: Address


@dataclass(frozen=True, slots=True)
class Order:
    """What a depositor asked for; it does not change any more.

    ``inputs`` are the tasks whose results it takes, ``parent`` the one it is a part of.
    The result of a ``shared`` task is given to whoever asks; tasks of one ``apart`` go
    to different holders.
    """

    key: bytes
    skill: str
    urgency_code: int
    size_code: int
    ttl_seconds: int
    lease_seconds: int
    half_life_seconds: int
    deadline_ms: int
    task_class: TaskClass
    body: bytes
    created_ms: int
    inputs: tuple[Source, ...] = ()
    parent: Source | None = None
    shared: bool = False
    apart: bytes = b""
    delegates: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnTask:
    """A task of our own, with what its issuer must not forget.

    ``granted_ms`` and ``opened_ms`` are Unix ms; the latter is when all inputs were
    there, 0 before and for a task without. ``partial`` is what a holder that gave up
    had achieved.
    """

    task: TaskId
    order: Order
    status: TaskStatus
    generation: int
    holder: Address | None = None
    granted_ms: int = 0
    result: bytes | None = None
    measured_ms: int = 0
    reason: str = ""
    partial: bytes | None = None
    opened_ms: int = 0

    @property
    def waits(self) -> bool:
        """Whether it is not called out yet, because an input is missing."""
        return bool(
            self.order.inputs and not self.opened_ms and self.status == TaskStatus.OPEN
        )

    @property
    def waited_ms(self) -> int:
        """For how long it waited for its inputs."""
        return max(0, self.opened_ms - self.order.created_ms) if self.opened_ms else 0


@unique
class Phase(IntEnum):
    """How far a claim of this node has come."""

    HELD = 0
    FINISHED = 1


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """A lease of this node, or the result that its issuer has not confirmed yet.

    ``finished_ms`` is Unix ms. A ``settled`` claim was agreed on among workers while
    the issuer was silent; ``estimate_ms`` is how long the work was thought to take. A
    ``gathering`` claim ends with its task's parts. Where ``delegates`` decide,
    ``votes`` are the records that prove what they decided.
    """

    task: TaskId
    issuer: Address
    skill: str
    generation: int
    task_class: TaskClass
    lease_seconds: int
    urgency_code: int
    body: bytes
    partial: bytes
    phase: Phase = Phase.HELD
    result: bytes = b""
    measured_ms: int = 0
    finished_ms: int = 0
    settled: bool = False
    estimate_ms: int = 0
    inputs: tuple[Supply, ...] = ()
    gathering: bool = False
    delegates: tuple[Address, ...] = ()
    votes: tuple[bytes, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every input has come, so that work can begin."""
        return all(supply.data is not None for supply in self.inputs)


def task_key(task: TaskId) -> bytes:
    """Where an own task lies."""
    return TASK_PREFIX + task.raw


def claim_key(task: TaskId) -> bytes:
    """Where a claim of this node lies."""
    return CLAIM_PREFIX + task.raw


def write_sequence(sequence: int) -> tuple[bytes, bytes]:
    """The last sequence number of this agent's chains as a key and a value."""
    return SEQUENCE_KEY, encode([sequence])


def read_sequence(data: bytes | None) -> int:
    """The sequence number in a value, 0 if there is none; LocalError if damaged."""
    try:
        return Fields(decode(data)).integer(0, 0, COUNT_MAX) if data else 0
    except RemoteError as damage:
        raise damaged("a sequence number", damage) from damage


def write_task(own: OwnTask) -> tuple[bytes, bytes]:
    """An own task as a key and a value."""
    order = own.order
    body = present(
        {
            0: 1,
            1: order.key,
            2: order.skill,
            3: order.urgency_code,
            4: order.size_code,
            5: order.ttl_seconds,
            6: order.lease_seconds,
            7: order.half_life_seconds,
            8: order.deadline_ms,
            9: int(order.task_class),
            10: order.body,
            11: order.created_ms,
            12: _STATUSES.index(own.status),
            13: own.generation,
            14: own.holder.raw if own.holder else None,
            15: own.granted_ms,
            16: own.result,
            17: own.measured_ms,
            18: own.reason,
            19: own.partial,
            20: [_place(source) for source in order.inputs] or None,
            21: own.opened_ms or None,
            22: [_place(order.parent)] if order.parent else None,
            23: order.shared or None,
            24: order.apart or None,
            25: [each.raw for each in order.delegates] or None,
        }
    )
    return task_key(own.task), encode(body)


def read_task(issuer: Address, data: bytes) -> OwnTask:
    """The own task in a value; LocalError if the store is damaged."""
    try:
        fields = Fields(decode(data, FRAME_BYTES_MAX))
        order = Order(
            key=fields.octets(1, 1, IDEMPOTENCY_KEY_BYTES_MAX),
            skill=fields.text(2, SKILL_CHARS_MAX),
            urgency_code=fields.integer(3, 0, URGENCY_CODE_MAX),
            size_code=fields.integer(4, 0, SIZE_CODE_MAX),
            ttl_seconds=fields.integer(5, 1, SIGNAL_TTL_SECONDS_MAX),
            lease_seconds=fields.integer(6, 1, LEASE_SECONDS_MAX),
            half_life_seconds=fields.integer(7, 0, SIGNAL_TTL_SECONDS_MAX),
            deadline_ms=fields.integer(8, 0, COUNT_MAX),
            task_class=TaskClass(fields.integer(9, 0, 1)),
            body=fields.octets(10, 0, TASK_BODY_BYTES_MAX),
            created_ms=fields.integer(11, 0, COUNT_MAX),
            inputs=tuple(map(_source, fields.rows(20, TASK_INPUTS_MAX))),
            parent=next(map(_source, fields.rows(22, 1)), None),
            shared=fields.boolean_or(23, default=False),
            apart=fields.octets_or(24, b"", 0, APART_BYTES_MAX),
            delegates=fields.identifiers(25, Address, DELEGATES_MAX),
        )
        return OwnTask(
            task=task_id(issuer, order.key),
            order=order,
            status=_STATUSES[fields.integer(12, 0, len(_STATUSES) - 1)],
            generation=fields.integer(13, 1, GENERATION_MAX),
            holder=fields.identifier_or(14, Address, None),
            granted_ms=fields.integer(15, 0, COUNT_MAX),
            result=fields.octets_or(16, None, 0, RESULT_BYTES_MAX),
            measured_ms=fields.integer(17, 0, COUNT_MAX),
            reason=fields.text(18, REASON_CHARS_MAX),
            partial=fields.octets_or(19, None, 0, RESULT_BYTES_MAX),
            opened_ms=fields.integer_or(21, 0, 0, COUNT_MAX),
        )
    except RemoteError as damage:
        raise damaged("a task", damage) from damage


def write_claim(claim: HeldClaim) -> tuple[bytes, bytes]:
    """A claim as a key and a value."""
    body: Body = {
        0: 1,
        1: claim.task.raw,
        2: claim.issuer.raw,
        3: claim.skill,
        4: claim.generation,
        5: int(claim.task_class),
        6: claim.lease_seconds,
        7: claim.urgency_code,
        8: claim.body,
        9: claim.partial,
        10: int(claim.phase),
        11: claim.result,
        12: claim.measured_ms,
        13: claim.finished_ms,
        14: claim.settled,
        15: claim.estimate_ms,
        16: supply_rows(claim.inputs),
        17: claim.gathering,
        18: [each.raw for each in claim.delegates],
        19: list(claim.votes),
    }
    return claim_key(claim.task), encode(body)


def read_claim(data: bytes) -> HeldClaim:
    """The claim in a value; LocalError if the store is damaged."""
    try:
        fields = Fields(decode(data, FRAME_BYTES_MAX))
        return HeldClaim(
            task=fields.identifier(1, TaskId),
            issuer=fields.identifier(2, Address),
            skill=fields.text(3, SKILL_CHARS_MAX),
            generation=fields.integer(4, 1, GENERATION_MAX),
            task_class=TaskClass(fields.integer(5, 0, 1)),
            lease_seconds=fields.integer(6, 1, LEASE_SECONDS_MAX),
            urgency_code=fields.integer(7, 0, URGENCY_CODE_MAX),
            body=fields.octets(8, 0, TASK_BODY_BYTES_MAX),
            partial=fields.octets(9, 0, RESULT_BYTES_MAX),
            phase=Phase(fields.integer(10, 0, 1)),
            result=fields.octets(11, 0, RESULT_BYTES_MAX),
            measured_ms=fields.integer(12, 0, COUNT_MAX),
            finished_ms=fields.integer(13, 0, COUNT_MAX),
            settled=fields.boolean_or(14, default=False),
            estimate_ms=fields.integer_or(15, 0, 0, COUNT_MAX),
            inputs=read_supplies(fields, 16),
            gathering=fields.boolean_or(17, default=False),
            delegates=fields.identifiers(18, Address, DELEGATES_MAX),
            votes=tuple(map(_octets, fields.items(19, DELEGATES_MAX))),
        )
    except RemoteError as damage:
        raise damaged("a claim", damage) from damage


def _place(source: Source) -> list[Encodable]:
    return [source.task.raw, source.issuer.raw]


def _source(fields: Fields) -> Source:
    return Source(fields.identifier(0, TaskId), fields.identifier(1, Address))


def _octets(value: Value) -> bytes:
    return Fields([value]).octets(0, 1, RECORD_BYTES_MAX)


def damaged(what: str, damage: RemoteError) -> LocalError:
    """What to say of a value that cannot be read."""
    return LocalError(
        f"The store holds {what} that cannot be read ({damage}).",
        "Run `nestmate doctor`, or restore an export of the store.",
    )
