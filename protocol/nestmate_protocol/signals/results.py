"""Records of results by reference: fetch and result, in the manner of ``claims``.

Whoever is told of a result only by its task and its hash asks the one who has it, and
is answered with the result, or with why not. Who is entitled to one is judged
elsewhere; this file knows only what a well-formed record is.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import ClassVar

from nestmate_protocol.codec import Fields
from nestmate_protocol.errors import Fault, RemoteError
from nestmate_protocol.ids import Address, TaskId
from nestmate_protocol.limits import REASON_CHARS_MAX, RESULT_BYTES_MAX
from nestmate_protocol.records import Kind
from nestmate_protocol.signals.records import Body, present


@unique
class Standing(IntEnum):
    """What became of a wish for a result."""

    GIVEN = 0
    LATER = 1
    NEVER = 2
    WITHHELD = 3


@dataclass(frozen=True, slots=True)
class Fetch:
    """An agent asks for the result of a task, from whoever should have it."""

    kind: ClassVar[Kind] = Kind.FETCH

    task: TaskId
    asker: Address

    def fields(self) -> Body:
        """The map to be signed."""
        return {1: self.task.raw, 2: self.asker.raw}

    @classmethod
    def read(cls, fields: Fields) -> "Fetch":
        """The wish in foreign fields."""
        return cls(fields.identifier(1, TaskId), fields.identifier(2, Address))


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a fetch; ``result`` is there if and only if it is GIVEN."""

    kind: ClassVar[Kind] = Kind.RESULT

    task: TaskId
    giver: Address
    standing: Standing
    result: bytes | None = None
    reason: str = ""

    def fields(self) -> Body:
        """The map to be signed."""
        given = self.result is not None
        return present(
            {
                1: self.task.raw,
                2: self.giver.raw,
                3: int(self.standing),
                4: self.result,
                5: sha256(self.result or b"").digest() if given else None,
                6: self.reason or None,
            }
        )

    @classmethod
    def read(cls, fields: Fields) -> "Result":
        """The answer in foreign fields; a result that is not its hash is refused."""
        standing = Standing(fields.integer(3, 0, len(Standing) - 1))
        result = fields.octets_or(4, None, 0, RESULT_BYTES_MAX)
        if (result is not None) != (standing is Standing.GIVEN):
            raise RemoteError(Fault.BAD_FIELD, "field 4")
        if result is not None and sha256(result).digest() != fields.body.get(5):
            raise RemoteError(Fault.BAD_FIELD, "the result is not what its hash says")
        return cls(
            task=fields.identifier(1, TaskId),
            giver=fields.identifier(2, Address),
            standing=standing,
            result=result,
            reason=fields.text_or(6, "", REASON_CHARS_MAX),
        )
