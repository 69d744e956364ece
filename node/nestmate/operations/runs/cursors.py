"""Carries out the operations on cursors and dead letters."""

import time

import msgspec

from nestmate.node import cursors as kept
from nestmate.node.filters import Filter
from nestmate.operations.cursors import (
    Cursor,
    CursorList,
    CursorRemove,
    Cursors,
    CursorSet,
    DeadLetter,
    DeadLetters,
    LetterList,
    LetterRemove,
    LetterRetry,
    Retrying,
)
from nestmate.operations.fields import Done
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.events import check_told, filter_of, show
from nestmate.texts import format_time
from nestmate_protocol.effects import Notify, Save, Scalar


async def ls(node: Node, _request: CursorList, _caller: Caller) -> Cursors:
    """All cursors there are."""
    return Cursors(cursors=[_show(node, cursor) for cursor in node.cursors])


async def put(node: Node, request: CursorSet, _caller: Caller) -> Cursor:
    """Make a cursor, or change one; its filters are replaced if any is given."""
    wanted = await filter_of(node, request)
    for seq in (request.seq, request.start):
        check_told(node, seq or 0)

    def changed() -> list[Save]:
        cursor = _changed(node, request, wanted)
        return [Save(node.cursors.put(cursor))]

    await node.keep(changed)
    return _show(node, node.cursors.get(request.cursor))


def _changed(node: Node, request: CursorSet, wanted: Filter) -> kept.Cursor:
    now_ms, name = time.time_ns() // 1_000_000, request.cursor
    begin = node.events.last_seq if request.start is None else request.start
    old = kept.Cursor(name, begin, now_ms, now_ms)
    if name in node.cursors:
        old = node.cursors.get(name)
    seq = old.seq if request.seq is None else request.seq
    if wanted == Filter():
        wanted = old.filter
    moved_ms = now_ms if seq != old.seq else old.moved_ms
    return kept.Cursor(name, seq, old.made_ms, moved_ms, wanted)


async def rm(node: Node, request: CursorRemove, _caller: Caller) -> Done:
    """Forget a cursor and its dead letters."""
    await node.keep(lambda: [Save(node.cursors.remove(request.cursor))])
    return Done()


async def dead_ls(node: Node, request: LetterList, _caller: Caller) -> DeadLetters:
    """The dead letters of one cursor, or of all."""
    names = [request.cursor] if request.cursor else [each.name for each in node.cursors]
    return DeadLetters(
        letters=[
            _show_letter(name, letter)
            for name in names
            for letter in node.cursors.letters(name)
        ]
    )


async def dead_retry(node: Node, request: LetterRetry, _caller: Caller) -> Retrying:
    """Hand dead letters out once more.

    An event says so, in whose place the reader of the cursor is shown the letter.
    """
    name = request.cursor
    events: list[int] = []

    def handed_out() -> list[Save | Notify]:
        effects: list[Save | Notify] = []
        for again, letter in enumerate(_idle(node, request), node.events.next_seq):
            seq, kind = letter.event.seq, letter.event.kind
            told: dict[str, Scalar] = {"cursor": name, "seq": seq, "type": kind}
            flagged = msgspec.structs.replace(letter, again=again)
            effects.append(Save(node.cursors.bury(name, flagged)))
            effects.append(Notify(kept.RETRIED, details=told))
            events.append(seq)
        return effects

    await node.keep(handed_out)
    return Retrying(events=events)


def _idle(node: Node, request: LetterRetry) -> list[kept.DeadLetter]:
    """The letters meant that are not being handed out already."""
    letters = list(node.cursors.letters(request.cursor))
    if request.seq is not None:
        letters = [each for each in letters if each.event.seq == request.seq]
        if not letters:
            raise kept.no_letter(request.cursor, request.seq)
    return [each for each in letters if each.again is None]


async def dead_rm(node: Node, request: LetterRemove, _caller: Caller) -> Done:
    """Forget a dead letter."""
    await node.keep(lambda: [Save(node.cursors.settle(request.cursor, request.seq))])
    return Done()


def _show(node: Node, cursor: kept.Cursor) -> Cursor:
    wanted = cursor.filter
    return Cursor(
        cursor=cursor.name,
        seq=cursor.seq,
        behind=node.events.last_seq - cursor.seq,
        kinds=list(wanted.kinds),
        space=wanted.space,
        path=wanted.path,
        author=wanted.author,
        made=format_time(cursor.made_ms),
        moved=format_time(cursor.moved_ms),
        dead=sum(1 for _ in node.cursors.letters(cursor.name)),
    )


def _show_letter(name: str, letter: kept.DeadLetter) -> DeadLetter:
    return DeadLetter(
        cursor=name,
        reason=letter.reason,
        tries=letter.tries,
        at=format_time(letter.at_ms),
        retrying=letter.again is not None,
        event=show(letter.event),
    )
