"""Compositions: patterns of work made of ordinary tasks, on top of the client.

Chain, route, parallel, orchestrate, vote, evaluate, and split for whoever holds a task.
None of them is known to any node: what they ask for are tasks that name each other's
results as inputs, so most of a composition goes on though the program that began it is
gone. With a ``key`` the same call made again finds the same tasks. This file knows
neither records nor who works.

A result is what ``signal.result`` gives: any JSON value, text, or null. ``how`` are
further fields of ``signal.deposit``, such as ``urgency``, ``size`` or ``ttl``.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from nestmate.client import Client
from nestmate.errors import ConflictError, NodeError, TimedOutError, UsageError
from nestmate_protocol.limits import IDEMPOTENCY_KEY_BYTES_MAX, TASK_INPUTS_MAX

PATIENCE_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5

Part = tuple[str, Any]
"""A skill, and the body of a task for it."""


def ask(
    client: Client,
    skill: str,
    body: Any = None,
    *,
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Any:
    """The result of one task.

    Raises ConflictError if it ends without one, TimedOutError after ``timeout`` s.
    """
    return wait(client, _deposit(client, skill, body, **how), timeout=timeout)


def wait(client: Client, task: str, *, timeout: float = PATIENCE_SECONDS) -> Any:
    """The result of a task of ours, once it is there; raises as ``ask`` does."""
    return _wait_until(client, task, time.monotonic() + timeout)


def chain(
    client: Client,
    skills: Sequence[str],
    body: Any,
    *,
    key: str = "",
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Any:
    """What comes of a body that goes from skill to skill; the last one's result.

    All steps are asked for at once, each with the one before as its input.
    """
    if not skills:
        raise UsageError("A chain has at least one skill.")
    task = _deposit(client, skills[0], body, key=_key(key, 0), **how)
    for place, skill in enumerate(skills[1:], 1):
        step = {"inputs": [task], "key": _key(key, place)}
        task = _deposit(client, skill, None, **step, **how)
    return wait(client, task, timeout=timeout)


def route(
    client: Client,
    chooser: str,
    body: Any,
    routes: Mapping[str, str],
    *,
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Any:
    """What the skill makes of a body that the chooser names a route for.

    ``routes`` leads from what the chooser answers to a skill; ``""`` is for whatever
    has no route. Raises ConflictError where there is none.
    """
    deadline = time.monotonic() + timeout
    chosen = ask(client, chooser, body, timeout=timeout, **how)
    name = chosen.strip() if isinstance(chosen, str) else ""
    skill = routes.get(name, routes.get(""))
    if skill is None:
        raise ConflictError(
            f"{chooser} chose {str(chosen)[:80]!r}, which leads nowhere.",
            f"There are routes for {', '.join(sorted(routes))}.",
        )
    left = max(0.0, deadline - time.monotonic())
    return ask(client, skill, body, timeout=left, **how)


def parallel(
    client: Client,
    skill: str,
    bodies: Iterable[Any],
    *,
    key: str = "",
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> list[Any]:
    """What comes of each body, in their order; all are worked at the same time."""
    deadline = time.monotonic() + timeout
    tasks = [
        _deposit(client, skill, body, key=_key(key, place), **how)
        for place, body in enumerate(bodies)
    ]
    return [_wait_until(client, task, deadline) for task in tasks]


def orchestrate(
    client: Client,
    planner: str,
    body: Any,
    combiner: str,
    *,
    key: str = "",
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Any:
    """What the combiner makes of the parts that the planner finds in a body.

    The planner answers with a list of ``{"skill": …, "body": …}``, at most
    TASK_INPUTS_MAX of them; the combiner takes the body, and their results as inputs.
    """
    deadline = time.monotonic() + timeout
    plan = ask(client, planner, body, key=_key(key, "plan"), timeout=timeout, **how)
    tasks = [
        _deposit(client, skill, part, key=_key(key, place), **how)
        for place, (skill, part) in enumerate(_parts(planner, plan))
    ]
    last = {"inputs": tasks, "key": _key(key, "combine")}
    whole = _deposit(client, combiner, body, **last, **how)
    return _wait_until(client, whole, deadline)


@dataclass(frozen=True, slots=True)
class Ballot:
    """How a vote went: the answer of the majority, its votes, and all that was cast."""

    result: Any
    votes: int
    cast: tuple[Any, ...]


def vote(
    client: Client,
    skill: str,
    body: Any,
    votes: int = 3,
    *,
    key: str = "",
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Ballot:
    """What more than half of so many different agents answer to the same question.

    Votes that cannot change it any more are called off. Raises ConflictError if no
    answer can get a majority, TimedOutError if too few agents have voted in time.
    """
    deadline = time.monotonic() + timeout
    key = key or sha256(f"{time.time_ns()}".encode()).hexdigest()
    apart = _key(key, "poll")
    waiting = [
        _deposit(client, skill, body, key=_key(key, place), apart=apart, **how)
        for place in range(votes)
    ]
    cast: list[Any] = []
    while waiting:
        for task in list(waiting):
            try:
                cast.append(client.signal.result(task, timeout=_POLL_SECONDS).result)
            except TimedOutError:
                continue
            waiting.remove(task)
            answer, count = _leading(cast)
            if 2 * count > votes:
                _call_off(client, waiting)
                return Ballot(answer, count, tuple(cast))
            if 2 * (count + len(waiting)) <= votes:
                _call_off(client, waiting)
                raise ConflictError(
                    f"{len(cast)} agents voted, and {count} at most agree.",
                    "Ask more agents, or a clearer question.",
                )
        if time.monotonic() > deadline:
            raise TimedOutError(
                f"{len(cast)} of {votes} agents have voted.",
                "Ask fewer, or wait until more agents offer the skill.",
            )
    raise UsageError("A vote takes at least one vote.")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The last draft, whether it was accepted, after how many rounds, the comment."""

    result: Any
    accepted: bool
    rounds: int
    comment: Any


def evaluate(
    client: Client,
    maker: str,
    judge: str,
    body: Any,
    rounds: int = 3,
    *,
    key: str = "",
    timeout: float = PATIENCE_SECONDS,
    **how: Any,
) -> Evaluated:
    """What a maker makes of a body until a judge accepts it, in so many rounds at most.

    Both are given the body. The judge's input is the draft; it answers with
    ``{"accepted": true or false, "comment": …}``. The maker's inputs, from the second
    round on, are its last draft and what the judge said of it.
    """
    deadline = time.monotonic() + timeout
    inputs: list[str] = []
    for place in range(1, rounds + 1):
        made = {"inputs": inputs, "key": _key(key, "draft", place)}
        draft = _deposit(client, maker, body, **made, **how)
        judged = {"inputs": [draft], "key": _key(key, "verdict", place)}
        verdict = _deposit(client, judge, body, **judged, **how)
        said = _wait_until(client, verdict, deadline)
        if not isinstance(said, dict) or not isinstance(said.get("accepted"), bool):
            raise ConflictError(
                f"{judge} answered {str(said)[:80]!r}.",
                'It has to answer {"accepted": true or false, "comment": …}.',
            )
        if said["accepted"] or place == rounds:
            result = _wait_until(client, draft, deadline)
            comment = said.get("comment")
            return Evaluated(result, said["accepted"], place, comment)
        inputs = [draft, verdict]
    raise UsageError("An evaluation takes at least one round.")


def split(
    client: Client, task: str, parts: Iterable[Part], combiner: str = "", **how: Any
) -> list[str]:
    """Let others do a task this node holds: the ids of its parts.

    The node keeps the task and hands in the references of the parts' results once all
    are there, or, with a ``combiner``, what that skill makes of them. Nothing has to
    stay for that. Doing it again makes the same parts.
    """
    made = [
        _deposit(client, skill, body, parent=task, key=_key("part", place), **how)
        for place, (skill, body) in enumerate(parts)
    ]
    if combiner:
        last = {"inputs": made, "key": "combine"}
        made.append(_deposit(client, combiner, None, parent=task, **last, **how))
    client.claim.done(task, parts=True)
    return made


def _deposit(client: Client, skill: str, body: Any, **how: Any) -> str:
    given = {name: value for name, value in how.items() if value not in ("", [])}
    return client.signal.deposit(skill, body=body, **given).task


def _wait_until(client: Client, task: str, deadline: float) -> Any:
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            return client.signal.result(task, timeout=min(left, _LOOK_SECONDS)).result
        except TimedOutError:
            if left <= _LOOK_SECONDS:
                raise


def _parts(planner: str, plan: Any) -> list[Part]:
    """What a planner answered, as skills and bodies."""
    try:
        parts = [(part["skill"], part.get("body")) for part in plan]
    except (TypeError, KeyError, AttributeError):
        parts = []
    if not 0 < len(parts) <= TASK_INPUTS_MAX:
        raise ConflictError(
            f"{planner} answered {str(plan)[:80]!r}.",
            f'It has to answer a list of 1 to {TASK_INPUTS_MAX} {{"skill", "body"}}.',
        )
    return parts


def _leading(cast: Sequence[Any]) -> tuple[Any, int]:
    """The answer most often given, and how often."""
    import msgspec  # noqa: PLC0415 - the client, too, loads it with the first call

    counts = Counter(msgspec.json.encode(each, order="sorted") for each in cast)
    answer, count = counts.most_common(1)[0]
    return msgspec.json.decode(answer), count


def _call_off(client: Client, tasks: Iterable[str]) -> None:
    for task in tasks:
        try:
            client.signal.withdraw(task)
        except NodeError:  # it was done in this very moment
            continue


def _key(key: str, *parts: object) -> str:
    """A key for one task of a composition; none, if the composition has none."""
    if not key:
        return ""
    text = "/".join(map(str, (key, *parts)))
    return sha256(text.encode()).hexdigest()[:IDEMPOTENCY_KEY_BYTES_MAX]
