"""Errors as problem documents (RFC 9457), the same at every door, and back again.

A door shows a ``Problem``; a client makes of it the error that a direct call would
have raised. This file knows neither operations nor doors.
"""

from typing import Any

import msgspec

from nestmate.errors import (
    BusyError,
    ConflictError,
    DeniedError,
    DiskFullError,
    HomeError,
    NodeError,
    NotFoundError,
    NotRunningError,
    StoreError,
    TimedOutError,
    UsageError,
)

TYPE_PREFIX = "urn:nestmate:problem:"

_KINDS: tuple[tuple[type[NodeError], str, int], ...] = (
    (NodeError, "It did not work", 500),
    (UsageError, "This makes no sense as it stands", 400),
    (NotRunningError, "No node answers for this home", 503),
    (DeniedError, "This is not allowed", 403),
    (NotFoundError, "There is no such thing here", 404),
    (TimedOutError, "Nobody answered in time", 504),
    (ConflictError, "Somebody else was first", 409),
    (HomeError, "The home folder is unusable", 500),
    (StoreError, "The store is unusable", 500),
    (DiskFullError, "The disk takes no writes", 507),
    (BusyError, "What is needed is taken or full", 503),
)
_BY_CODE = {kind.code: kind for kind, _, _ in _KINDS}
_TITLES = {kind.code: title for kind, title, _ in _KINDS}
_STATUSES = {kind.code: status for kind, _, status in _KINDS}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong: ``code`` for programs, ``detail`` and ``hint`` for people.

    ``title`` says the same for every problem of one code; ``status`` is HTTP's.
    ``document`` is what stands there instead, where that can be told.
    """

    type: str
    title: str
    detail: str
    hint: str
    code: str
    status: int
    document: dict[str, Any] | None = None


def problem_of(error: NodeError, status: int | None = None) -> Problem:
    """The document that tells of an error; ``status`` if HTTP knows a better one."""
    code = error.code if error.code in _BY_CODE else NodeError.code
    return Problem(
        type=TYPE_PREFIX + code,
        title=_TITLES[code],
        detail=str(error),
        hint=error.hint,
        code=code,
        status=status or _STATUSES[code],
        document=error.document,
    )


def error_of(problem: Problem) -> NodeError:
    """The error a problem document tells of."""
    error = _BY_CODE.get(problem.code, NodeError)(problem.detail, problem.hint)
    error.document = problem.document
    return error


def codes() -> tuple[str, ...]:
    """Every code a problem may carry."""
    return tuple(_BY_CODE)
