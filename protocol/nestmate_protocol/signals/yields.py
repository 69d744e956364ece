"""What a local agent may ask of results, and how results are shown to it.

Values only, as in ``requests``; this file knows nothing of how a result is had.
"""

from dataclasses import dataclass

from nestmate_protocol.ids import Address, TaskId


@dataclass(frozen=True, slots=True)
class AwaitResult:
    """The result of a task: our own, or of another ``issuer`` that gives it to us.

    Waits up to ``wait_seconds`` until there is one.
    """

    task: TaskId
    issuer: Address | None = None
    wait_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ResultView:
    """What a task came to."""

    task: TaskId
    issuer: Address
    result: bytes


@dataclass(frozen=True, slots=True)
class InputView:
    """A task whose result another one takes; ``is_here`` is None where not known."""

    task: TaskId
    is_here: bool | None


@dataclass(frozen=True, slots=True)
class InputResult:
    """An input of a task: whose result it is, and the result."""

    task: TaskId
    result: bytes
