"""Carries out the operations on documents in spaces."""

import time
from typing import Any

import msgspec

from nestmate.errors import ConflictError, NotFoundError, UsageError
from nestmate.operations import schemas
from nestmate.operations.documents import (
    Alternative,
    Conflicts,
    DocumentList,
    Documents,
    DocumentShown,
    Explain,
    Explained,
    Get,
    History,
    LogAppend,
    LogRead,
    PolicySet,
    Put,
    Remove,
    SchemaCheck,
    SchemaFault,
    SchemaFaults,
    SchemaSet,
    SchemaShow,
    SchemaShown,
    VoidList,
    Write,
    Writes,
    Written,
)
from nestmate.operations.forms import from_bytes, plain, seconds, to_bytes
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import answer
from nestmate.texts import format_time
from nestmate_protocol.directory.requests import AgentView, WhoIs
from nestmate_protocol.ids import Address, DeviceKey
from nestmate_protocol.limits import EPHEMERAL_TTL_MS_MAX, VALUE_BYTES_MAX
from nestmate_protocol.spaces import requests as core
from nestmate_protocol.spaces.ops import Type
from nestmate_protocol.spaces.reading import places_above
from nestmate_protocol.spaces.typenames import type_of, word_of

_LASTS_MAX = 366 * 24 * 3_600.0
_FIRST = {
    "reg": core.Act.PUT,
    "set": core.Act.ADD,
    "ctr": core.Act.INCREMENT,
    "log": core.Act.APPEND,
    "list": core.Act.INSERT,
    "claim": core.Act.BID,
    "budget": core.Act.SPEND,
}
_WHOLE = (core.Act.PUT, core.Act.ADD, core.Act.APPEND, core.Act.INSERT)


async def get(node: Node, request: Get, _caller: Caller) -> DocumentShown:
    """What stands at a path."""
    kind = type_of(request.type) if request.type else None
    wish = core.ReadPath(request.space, request.path, kind, request.version)
    return await _shown(node, await answer(node, wish, core.DocumentView))


async def put(node: Node, request: Put, _caller: Caller) -> Written:
    """Write a document, if it fits its schema."""
    act = _FIRST[request.type] if request.act == "auto" else core.Act(request.act)
    if act in _WHOLE and request.path.split("/")[0] != schemas.ROOT:
        await _check(node, request.space, request.path, request.value)
    lasts = seconds(request.lasts, "lasts", 0, _LASTS_MAX)
    change = core.Change(
        path=request.path,
        type=type_of(request.type),
        act=act,
        value=_value(request, act),
        expect=request.expect or None,
        amount=request.amount or _amount_in(request.value, act),
        to=await _key_of(node, request.to),
        until_ms=time.time_ns() // 1_000_000 + int(lasts * 1_000),
        at=request.at,
    )
    ephemeral = lasts if request.ephemeral else 0.0
    if request.ephemeral and not 0 < lasts * 1_000 <= EPHEMERAL_TTL_MS_MAX:
        raise UsageError(
            "An ephemeral document has to say for how long it is there.",
            "Give `lasts`, such as 30s; 24h at most.",
        )
    return await _write(node, request.space, change, ephemeral)


async def rm(node: Node, request: Remove, _caller: Caller) -> Written:
    """Take a document away."""
    change = core.Change(
        request.path, act=core.Act.DELETE, expect=request.expect or None
    )
    return await _write(node, request.space, change)


async def ls(node: Node, request: DocumentList, _caller: Caller) -> Documents:
    """What there is below a path."""
    wish = core.ListPaths(request.space, request.prefix, request.after, request.limit)
    return await _all(node, await answer(node, wish, core.DocumentViews))


async def conflicts(node: Node, request: Conflicts, _caller: Caller) -> Documents:
    """Documents with several values alive that differ."""
    wish = core.ListConflicts(request.space, request.limit)
    return await _all(node, await answer(node, wish, core.DocumentViews))


async def history(node: Node, request: History, _caller: Caller) -> Writes:
    """Who wrote what to a path."""
    wish = core.ShowHistory(request.space, request.path, request.limit)
    return _writes(await answer(node, wish, core.WriteViews))


async def void(node: Node, request: VoidList, _caller: Caller) -> Writes:
    """Writes that do not count."""
    wish = core.ListVoid(request.space, request.limit)
    return _writes(await answer(node, wish, core.WriteViews))


async def explain(node: Node, request: Explain, _caller: Caller) -> Explained:
    """Why a path shows what it shows."""
    wish = core.ExplainPath(request.space, request.path)
    told = await answer(node, wish, core.Explanation)
    return Explained(sentences=[plain(each) for each in told.sentences])


async def policy_set(node: Node, request: PolicySet, _caller: Caller) -> Written:
    """Say how a winner is found at and below a path."""
    place = f".policy/{request.prefix}" if request.prefix else ".policy"
    change = core.Change(place, value=f'"{request.policy}"'.encode())
    return await _write(node, request.space, change)


async def schema_set(node: Node, request: SchemaSet, _caller: Caller) -> Written:
    """Say what documents at and below a path must look like."""
    data = schemas.schema_bytes(request.schema)
    change = core.Change(schemas.place_of(request.prefix), value=data)
    return await _write(node, request.space, change)


async def schema_show(node: Node, request: SchemaShow, _caller: Caller) -> SchemaShown:
    """The schema that counts at a path."""
    found = await _schema_at(node, request.space, request.path)
    if found is None:
        return SchemaShown(prefix="", schema_id="", schema=None)
    place, data = found
    prefix = place.removeprefix(schemas.ROOT).lstrip("/")
    schema = from_bytes(data)
    return SchemaShown(
        prefix=prefix,
        schema_id=schemas.schema_id(data),
        schema=schema if isinstance(schema, dict | bool) else None,
    )


async def schema_check(
    node: Node, request: SchemaCheck, _caller: Caller
) -> SchemaFaults:
    """Which documents do not look as their schema says."""
    faults: list[SchemaFault] = []
    checked, after = 0, ""
    while True:
        wish = core.ListPaths(request.space, request.prefix, after, 1_000)
        page = await answer(node, wish, core.DocumentViews)
        for view in page.documents:
            found = await _schema_at(node, request.space, view.path)
            if found is None or view.type is not Type.REGISTER:
                continue
            checked += 1
            fault = schemas.fault_of(from_bytes(view.value), from_bytes(found[1]))
            if fault is not None:
                faults.append(
                    SchemaFault(
                        path=plain(view.path),
                        at=fault.at,
                        fault=fault.what,
                        schema_id=schemas.schema_id(found[1]),
                    )
                )
        if not page.more:
            return SchemaFaults(checked=checked, faults=faults)
        after = page.documents[-1].path


async def log_append(node: Node, request: LogAppend, _caller: Caller) -> Written:
    """Add an entry to a log, if it fits its schema."""
    await _check(node, request.space, request.path, request.value)
    value = to_bytes(request.value, "value", VALUE_BYTES_MAX)
    change = core.Change(request.path, Type.LOG, core.Act.APPEND, value or b"null")
    return await _write(node, request.space, change)


async def log_read(node: Node, request: LogRead, _caller: Caller) -> Documents:
    """The latest entries of a log, in order."""
    wish = core.ReadPath(request.space, request.path, Type.LOG)
    view = await answer(node, wish, core.DocumentView)
    shown = await _shown(node, view)
    kept = shown.elements[-request.limit :]
    more = len(kept) < len(shown.elements)
    document = msgspec.structs.replace(
        shown, elements=kept, value=[each.value for each in kept]
    )
    return Documents(documents=[document], more=more)


async def _write(
    node: Node, space: str, change: core.Change, ephemeral: float = 0.0
) -> Written:
    wish = core.WriteChanges(space, (change,), ephemeral)
    try:
        done = await answer(node, wish, core.Changed)
    except ConflictError as error:
        error.document = await _standing(node, space, change)
        raise
    return Written(space=done.space.text, version=done.version, op=done.op.text)


async def _standing(
    node: Node, space: str, change: core.Change
) -> dict[str, object] | None:
    """What stands there instead, for whoever was refused."""
    wish = core.ReadPath(space, change.path, change.type)
    try:
        view = await answer(node, wish, core.DocumentView)
    except NotFoundError:
        return {"version": "none", "alternatives": []}
    alternatives = [
        {
            "value": from_bytes(each.value),
            "author": _name(each),
            "version": each.version,
        }
        for each in view.alternatives
    ]
    return {"version": view.version, "alternatives": alternatives}


async def _check(node: Node, space: str, path: str, value: Any) -> None:
    """Raise UsageError with the place of the fault if a document does not fit."""
    found = await _schema_at(node, space, path)
    if found is None:
        return
    fault = schemas.fault_of(value, from_bytes(found[1]))
    if fault is not None:
        raise UsageError(
            f"The document does not fit its schema at {fault.at}: {fault.what}.",
            f"The schema stands at {found[0]}; see `nestmate schema show`.",
        )


async def _schema_at(node: Node, space: str, path: str) -> tuple[str, bytes] | None:
    """Where the schema that counts at a path stands, and its content."""
    wish = core.ReadNearest(space, tuple(places_above(schemas.ROOT, path)))
    found = await answer(node, wish, core.Nearest)
    return None if found.value is None else (found.path, found.value)


def _value(request: Put, act: core.Act) -> bytes | None:
    if act in _WHOLE and request.value is None:
        return b"null"
    if act is core.Act.INCREMENT or request.value is None:
        return None
    return to_bytes(request.value, "value", VALUE_BYTES_MAX)


def _amount_in(value: Any, act: core.Act) -> int:
    """A counter may be given what to add as its value; nothing adds one."""
    if act is not core.Act.INCREMENT:
        return 0
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(
            "A counter counts whole numbers.", "Give one, such as 1 or -3."
        )
    return value


async def _key_of(node: Node, who: str) -> DeviceKey | None:
    if not who:
        return None
    agent = await answer(node, WhoIs(who, 10.0), AgentView)
    if not agent.devices:
        raise UsageError(
            f"No key of {plain(who)[:64]} is known.", "Connect to it first."
        )
    return agent.devices[0]


async def _all(node: Node, views: core.DocumentViews) -> Documents:
    shown = [await _shown(node, view) for view in views.documents]
    return Documents(documents=shown, more=views.more)


async def _shown(node: Node, view: core.DocumentView) -> DocumentShown:
    fits = None
    if view.type is Type.REGISTER and not view.path.startswith("."):
        found = await _schema_at(node, view.space.text, view.path)
        if found is not None:
            fits = (
                schemas.fault_of(from_bytes(view.value), from_bytes(found[1])) is None
            )
    alternatives = [_alternative(each) for each in view.alternatives]
    value = from_bytes(view.value)
    if view.type in {Type.COUNTER, Type.BUDGET}:
        value = view.number
    elif view.values:
        value = [from_bytes(each.value) for each in view.values]
    return DocumentShown(
        space=view.space.text,
        path=plain(view.path),
        type=word_of(view.type),
        value=value,
        version=view.version,
        conflict=view.conflict,
        alternatives=alternatives,
        provenance=alternatives[0] if alternatives else None,
        policy=view.policy,
        elements=[_alternative(each) for each in view.values],
        holder=None if view.holder is None else view.holder.text,
        flags=list(view.flags),
        schema_ok=fits,
    )


def _alternative(each: core.Alternative) -> Alternative:
    return Alternative(
        value=from_bytes(each.value),
        version=each.version,
        author=_name(each),
        at=format_time(each.at_ms),
        grant=each.grant,
    )


def _name(each: core.Alternative | core.WriteView) -> str:
    who: Address | DeviceKey = each.author if each.who is None else each.who
    return who.text


def _writes(views: core.WriteViews) -> Writes:
    return Writes(writes=[_one_write(view) for view in views.writes])


def _one_write(view: core.WriteView) -> Write:
    return Write(
        op=view.op.text,
        path=plain(view.path),
        type=word_of(view.type),
        act=view.action,
        value=from_bytes(view.value),
        version=view.version,
        author=_name(view),
        at=format_time(view.at_ms),
        grant=view.grant,
        fate=view.fate.value,
        why=plain(view.why),
    )
