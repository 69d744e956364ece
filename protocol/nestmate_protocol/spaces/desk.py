"""The desk: where requests about spaces go, and what an answer means for others.

Each request is met from the copies held here, whether anybody is connected or not; what
is written is signed and taken in at once, or refused whole. This file knows neither
peers nor the wire, and answers nothing itself.
"""

from dataclasses import dataclass
from typing import assert_never

from nestmate_protocol.clocks import Moment
from nestmate_protocol.effects import Code, Refusal
from nestmate_protocol.errors import LocalError
from nestmate_protocol.ids import Address, SpaceId
from nestmate_protocol.spaces.belonging import Belonging
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.documents import Documents
from nestmate_protocol.spaces.letting import Letting
from nestmate_protocol.spaces.outcomes import Outcome
from nestmate_protocol.spaces.refusals import (
    ConflictError,
    ForbiddenError,
    MissingError,
)
from nestmate_protocol.spaces.requests import (
    CreateSpace,
    EndorseOps,
    ExplainPath,
    GrantRights,
    InviteToSpace,
    JoinSpace,
    LeaveSpace,
    ListConflicts,
    ListMembers,
    ListPaths,
    ListSpaces,
    ListVoid,
    ReadNearest,
    ReadPath,
    RevokeGrant,
    ShowHistory,
    ShowSpace,
    SpacesRequest,
    SyncSpace,
    WriteChanges,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what it means for others.

    ``joined`` and ``left`` are spaces this node takes part in from now on, and no more;
    ``granted`` is an agent that was given something.
    """

    response: object
    outcomes: tuple[Outcome, ...] = ()
    joined: SpaceId | None = None
    left: SpaceId | None = None
    granted: Address | None = None


class Desk:
    """Answers requests about spaces."""

    def __init__(
        self,
        documents: Documents,
        belonging: Belonging,
        letting: Letting,
    ) -> None:
        self._documents = documents
        self._belonging = belonging
        self._letting = letting

    def __repr__(self) -> str:
        return f"<Desk of {self._belonging!r}>"

    def answer(self, body: SpacesRequest, now: Moment) -> Answered:
        """The answer to a request; LocalError if it makes no sense as it stands."""
        try:
            return self._answer(body, now)
        except ConflictError as error:
            return Answered(Refusal(Code.CONFLICT, str(error), error.hint))
        except ForbiddenError as error:
            return Answered(Refusal(Code.DENIED, str(error), error.hint))
        except MissingError as error:
            return Answered(Refusal(Code.NOT_FOUND, str(error), error.hint))

    def copy_of(self, text: str) -> Copy:
        """The copy of the space a text names."""
        return self._belonging.copy_of(text)

    def _answer(self, body: SpacesRequest, now: Moment) -> Answered:
        belonging, documents = self._belonging, self._documents
        match body:
            case CreateSpace():
                space = belonging.create(body, now)
                return Answered(belonging.shown(space, now), joined=space)
            case ListSpaces():
                return Answered(belonging.listed(now))
            case ShowSpace(text):
                return Answered(belonging.shown_by(text, now))
            case JoinSpace():
                space, reach = belonging.join(body, now)
                view = belonging.shown(space, now)
                return Answered(view, tuple(reach), joined=space)
            case LeaveSpace():
                left = belonging.leave(body)
                return Answered(left, left=left.space)
            case ListMembers() | GrantRights() | InviteToSpace() | RevokeGrant():
                return self._let(belonging.copy_of(body.space), body, now)
            case EndorseOps():
                copy = belonging.copy_of(body.space)
                return Answered(self._letting.endorse(copy, body, now))
            case SyncSpace():
                raise LocalError("only the node itself compares")
            case (
                ReadPath()
                | ReadNearest()
                | WriteChanges()
                | ListPaths()
                | ShowHistory()
                | ListConflicts()
                | ListVoid()
                | ExplainPath()
            ):
                copy = belonging.copy_of(body.space)
                return Answered(documents.answer(copy, body, now))
            case _:
                assert_never(body)

    def _let(
        self,
        copy: Copy,
        body: ListMembers | GrantRights | InviteToSpace | RevokeGrant,
        now: Moment,
    ) -> Answered:
        letting = self._letting
        match body:
            case ListMembers():
                return Answered(letting.members(copy))
            case GrantRights():
                granted = letting.grant(copy, body, now)
                return Answered(granted, granted=body.who)
            case InviteToSpace():
                return Answered(letting.invite(copy, body, now))
            case RevokeGrant():
                return Answered(letting.revoke(copy, body, now))
