"""Sentences shown to the user when something on this machine stands in the way.

Each error carries the way out as ``hint`` and the exit code of ``docs/reference``.
This file knows nothing of what raised it.
"""

from typing import ClassVar


class NodeError(Exception):
    """Something on this machine stands in the way; the hint says what to do.

    ``document`` is what stands there instead, where that can be told.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint
        self.document: dict[str, object] | None = None


class UsageError(NodeError):
    """What was asked for makes no sense as it stands."""

    exit_code = 2
    code = "invalid"


class NotRunningError(NodeError):
    """No node answers for this home."""

    exit_code = 3
    code = "not-running"


class DeniedError(NodeError):
    """A policy, a permission or a file mode says no."""

    exit_code = 4
    code = "denied"


class NotFoundError(NodeError):
    """There is no such thing here."""

    exit_code = 5
    code = "not-found"


class TimedOutError(NodeError):
    """Nobody answered in time."""

    exit_code = 6
    code = "timed-out"


class ConflictError(NodeError):
    """Somebody else was first, or it is no longer so."""

    code = "conflict"


class HomeError(NodeError):
    """A home folder is missing, foreign, damaged or too open."""

    exit_code = 2
    code = "bad-home"


class StoreError(NodeError):
    """The store cannot be opened, read or written."""

    code = "store"


class DiskFullError(StoreError):
    """The disk takes no writes for now; reading goes on, and so will the rest."""

    code = "disk-full"


class BusyError(NodeError):
    """Somebody else holds what is needed, such as another node on this home."""

    code = "busy"
