"""Records of claims: claim, lease, beat, done, receipt, release and cancel.

Seven kinds that go between a task's issuer and whoever works it, in the manner of
``signals/records``: ``fields()`` out, ``read`` in, and nothing but RemoteError
escapes from foreign bytes. Who may sign what is judged elsewhere.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import ClassVar, NamedTuple

from nestmate_protocol.codec import Encodable, Fields
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import ID_BYTES, Address, TaskId
from nestmate_protocol.limits import (
    LEASE_SECONDS_MAX,
    LEASE_SECONDS_MIN,
    REASON_CHARS_MAX,
    RESULT_BYTES_MAX,
    SIZE_CODE_MAX,
    TASK_BODY_BYTES_MAX,
    TASK_INPUTS_MAX,
)
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.records import (
    COUNT_MAX,
    GENERATION_MAX,
    Body,
    present,
)


@unique
class Verdict(IntEnum):
    """What an issuer says of a result in its receipt."""

    ACCEPTED = 0
    REJECTED = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """An idle agent asks the issuer for a task; ``generation`` is the one it saw."""

    kind: ClassVar[Kind] = Kind.CLAIM

    task: TaskId
    worker: Address
    generation: int
    estimate_ms: int
    lease_seconds_max: int

    def fields(self) -> Body:
        """The map to be signed."""
        return {
            1: self.task.raw,
            2: self.worker.raw,
            3: self.generation,
            4: self.estimate_ms,
            5: self.lease_seconds_max,
        }

    @classmethod
    def read(cls, fields: Fields) -> "Claim":
        """The claim in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            worker=fields.identifier(2, Address),
            generation=fields.integer(3, 1, GENERATION_MAX),
            estimate_ms=fields.integer(4, 0, COUNT_MAX),
            lease_seconds_max=fields.integer(5, LEASE_SECONDS_MIN, LEASE_SECONDS_MAX),
        )


class Supply(NamedTuple):
    """An input of a task: the result of another one, by value or to be fetched.

    ``digest`` is its SHA-256, ``size`` its bytes; ``data`` None is for fetching.
    """

    task: TaskId
    digest: bytes
    size: int
    data: bytes | None


def supply_rows(supplies: tuple[Supply, ...]) -> list[Encodable]:
    """Inputs as rows of a record."""
    return [[s.task.raw, s.digest, s.size, s.data] for s in supplies]


def read_supplies(fields: Fields, key: int) -> tuple[Supply, ...]:
    """The inputs in a field; one that is not its hash is refused."""
    return tuple(map(_supply, fields.rows(key, TASK_INPUTS_MAX)))


def _supply(fields: Fields) -> Supply:
    data = fields.octets_or(3, None, 0, RESULT_BYTES_MAX)
    digest = fields.octets(1, ID_BYTES, ID_BYTES)
    size = fields.integer(2, 0, RESULT_BYTES_MAX)
    if data is not None and (len(data) != size or sha256(data).digest() != digest):
        raise RemoteError(Fault.BAD_FIELD, "an input is not what its hash says")
    return Supply(fields.identifier(0, TaskId), digest, size, data)


@dataclass(frozen=True, slots=True)
class Lease:
    """The issuer gives a task to a holder for a while; it denies it to all others.

    ``generation`` is the fence. ``lease_seconds`` counts from the message that asked
    for it: the claim, or the beat whose ``n`` is ``renewal``. ``body`` is there for
    the holder when the signal did not carry it, ``partial`` is what an earlier holder
    had achieved when it gave the task back, ``inputs`` the results it is to work on.
    """

    kind: ClassVar[Kind] = Kind.LEASE

    task: TaskId
    generation: int
    holder: Address
    lease_seconds: int
    estimate_ms: int
    body: bytes | None
    renewal: int
    partial: bytes | None = None
    inputs: tuple[Supply, ...] = ()

    def fields(self) -> Body:
        """The map to be signed."""
        return present(
            {
                1: self.task.raw,
                2: self.generation,
                3: self.holder.raw,
                4: self.lease_seconds,
                5: self.estimate_ms,
                6: self.body,
                7: self.renewal,
                8: self.partial,
                9: supply_rows(self.inputs) or None,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Lease":
        """The lease in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            generation=fields.integer(2, 1, GENERATION_MAX),
            holder=fields.identifier(3, Address),
            lease_seconds=fields.integer(4, LEASE_SECONDS_MIN, LEASE_SECONDS_MAX),
            estimate_ms=fields.integer(5, 0, COUNT_MAX),
            body=fields.octets_or(6, None, 0, TASK_BODY_BYTES_MAX),
            renewal=fields.integer(7, 0, COUNT_MAX),
            partial=fields.octets_or(8, None, 0, RESULT_BYTES_MAX),
            inputs=read_supplies(fields, 9),
        )


@dataclass(frozen=True, slots=True)
class Beat:
    """The holder is alive and wants another lease term; ``n`` counts from 1.

    ``estimate_ms`` is the claim's, for those who compare claims while the issuer is
    silent; a beat to the issuer alone goes without.
    """

    kind: ClassVar[Kind] = Kind.BEAT

    task: TaskId
    worker: Address
    generation: int
    n: int
    remaining_ms: int
    estimate_ms: int | None = None

    def fields(self) -> Body:
        """The map to be signed."""
        return present(
            {
                1: self.task.raw,
                2: self.worker.raw,
                3: self.generation,
                4: self.n,
                5: self.remaining_ms,
                6: self.estimate_ms,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Beat":
        """The beat in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            worker=fields.identifier(2, Address),
            generation=fields.integer(3, 1, GENERATION_MAX),
            n=fields.integer(4, 1, COUNT_MAX),
            remaining_ms=fields.integer(5, 0, COUNT_MAX),
            estimate_ms=fields.integer_or(6, None, 0, COUNT_MAX),
        )


@dataclass(frozen=True, slots=True)
class Done:
    """The holder's result; said again until a receipt comes.

    Without ``result`` it tells rivals that nothing is left to do.
    """

    kind: ClassVar[Kind] = Kind.DONE

    task: TaskId
    worker: Address
    generation: int
    result: bytes | None
    result_hash: bytes
    measured_ms: int

    def fields(self) -> Body:
        """The map to be signed."""
        return present(
            {
                1: self.task.raw,
                2: self.worker.raw,
                3: self.generation,
                4: self.result,
                5: self.result_hash,
                6: self.measured_ms,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Done":
        """The result in foreign fields; one that is not its hash is refused."""
        result = fields.octets_or(4, None, 0, RESULT_BYTES_MAX)
        result_hash = fields.octets(5, ID_BYTES, ID_BYTES)
        if result is not None and sha256(result).digest() != result_hash:
            raise RemoteError(Fault.BAD_FIELD, "the result is not what its hash says")
        return cls(
            task=fields.identifier(1, TaskId),
            worker=fields.identifier(2, Address),
            generation=fields.integer(3, 1, GENERATION_MAX),
            result=result,
            result_hash=result_hash,
            measured_ms=fields.integer(6, 0, COUNT_MAX),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The issuer has the result, durably: the task is done and by whom.

    ``measured_ms`` is what the issuer saw pass between lease and result, less what the
    worker says was not work, of which it believes half; with ``size_code`` it is what
    the issuer learns of the holder's speed.
    """

    kind: ClassVar[Kind] = Kind.RECEIPT

    task: TaskId
    generation: int
    holder: Address
    result_hash: bytes
    measured_ms: int
    size_code: int
    verdict: Verdict

    def fields(self) -> Body:
        """The map to be signed."""
        return {
            1: self.task.raw,
            2: self.generation,
            3: self.holder.raw,
            4: self.result_hash,
            5: self.measured_ms,
            6: self.size_code,
            7: int(self.verdict),
        }

    @classmethod
    def read(cls, fields: Fields) -> "Receipt":
        """The receipt in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            generation=fields.integer(2, 1, GENERATION_MAX),
            holder=fields.identifier(3, Address),
            result_hash=fields.octets(4, ID_BYTES, ID_BYTES),
            measured_ms=fields.integer(5, 0, COUNT_MAX),
            size_code=fields.integer(6, 0, SIZE_CODE_MAX),
            verdict=Verdict(fields.integer(7, 0, 1)),
        )


@dataclass(frozen=True, slots=True)
class Release:
    """The holder gives a task back, with what was achieved; ``failed`` if it cannot.

    ``reason`` is foreign text; ``partial`` is for the next holder.
    """

    kind: ClassVar[Kind] = Kind.RELEASE

    task: TaskId
    worker: Address
    generation: int
    reason: str
    partial: bytes | None
    failed: bool

    def fields(self) -> Body:
        """The map to be signed."""
        return present(
            {
                1: self.task.raw,
                2: self.worker.raw,
                3: self.generation,
                4: self.reason or None,
                5: self.partial,
                6: self.failed or None,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Release":
        """The release in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            worker=fields.identifier(2, Address),
            generation=fields.integer(3, 1, GENERATION_MAX),
            reason=fields.text_or(4, "", REASON_CHARS_MAX),
            partial=fields.octets_or(5, None, 0, RESULT_BYTES_MAX),
            failed=fields.boolean_or(6, default=False),
        )


@dataclass(frozen=True, slots=True)
class Cancel:
    """The issuer says that this generation of a task, and all before it, are over."""

    kind: ClassVar[Kind] = Kind.CANCEL

    task: TaskId
    generation: int

    def fields(self) -> Body:
        """The map to be signed."""
        return {1: self.task.raw, 2: self.generation}

    @classmethod
    def read(cls, fields: Fields) -> "Cancel":
        """The cancellation in foreign fields."""
        return cls(
            task=fields.identifier(1, TaskId),
            generation=fields.integer(2, 1, GENERATION_MAX),
        )
