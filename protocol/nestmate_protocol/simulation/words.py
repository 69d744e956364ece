"""Inputs and effects in a few words, for the last events of a report.

Nothing here is asked unless something broke, so it may be slow; whatever it prints is
the same in every run of one seed. This file changes nothing.
"""

from collections.abc import Mapping
from typing import assert_never

from nestmate_protocol.effects import (
    Dial,
    Effect,
    HangUp,
    Notify,
    Publish,
    Refusal,
    Reply,
    Save,
    Send,
    Strike,
)
from nestmate_protocol.ids import Identifier, PeerId
from nestmate_protocol.inputs import (
    Abandon,
    Arrived,
    Ask,
    Dialled,
    DiskFull,
    DiskRoom,
    Found,
    Heard,
    Input,
    Listening,
    PeerDown,
    PeerUp,
    Resolved,
    Sighted,
    Wakeup,
)

Names = Mapping[PeerId, str]

_TEXT_CHARS_MAX = 60


def describe_input(item: Input, names: Names) -> str:
    """What happened to a node."""
    match item:
        case Ask(request, body):
            return f"{request} {_value(body)}"
        case Arrived(peer, channel, data):
            return f"{channel} from {_name(peer, names)}, {len(data)} B"
        case Heard(peer, _, records):
            kinds = ", ".join(
                f"{carried.record.kind} {carried.record.id.short} {carried.age_ms} ms"
                for carried in records
            )
            return f"from {_name(peer, names)}: {kinds}"
        case PeerUp(peer) | PeerDown(peer) | Dialled(peer) | Sighted(peer):
            return _name(peer, names)
        case Found(_, providers):
            return " ".join(_name(peer, names) for peer, _ in providers)
        case Resolved(address, record):
            return f"{address.short} {'nothing' if record is None else 'something'}"
        case Listening(multiaddrs):
            return " ".join(multiaddrs)
        case Abandon(request):
            return str(request)
        case DiskFull(reason):
            return reason
        case DiskRoom() | Wakeup():
            return ""
        case _:
            assert_never(item)


def describe_effects(effects: list[Effect], names: Names) -> str:
    """What a node caused, in order."""
    return "; ".join(_effect(effect, names) for effect in effects)


def _effect(effect: Effect, names: Names) -> str:
    match effect:
        case Save(writes, durable):
            return f"save {len(writes)}{' durably' if durable else ''}"
        case Send(peer, channel, data):
            return f"send {channel} to {_name(peer, names)}, {len(data)} B"
        case Publish(_, record, age_ms):
            return f"publish {len(record)} B of {age_ms} ms"
        case Dial(peer) | HangUp(peer):
            return f"{type(effect).__name__.lower()} {_name(peer, names)}"
        case Strike(peer, fault):
            return f"strike {_name(peer, names)} for {fault.value}"
        case Reply(request, Refusal(code, detail)):
            return f"refuse {request}: {code.value}, {detail}"
        case Reply(request, response):
            return f"reply {request} {_value(response)}"
        case Notify(kind, task):
            return f"notify {kind} {'' if task is None else task.short}".rstrip()
        case _:
            return type(effect).__name__.lower()


def _name(peer: PeerId, names: Names) -> str:
    return names.get(peer, peer.short)


def _value(value: object) -> str:
    """The name of a request or response and the fields that fit a line."""
    fields: list[str] = []
    for name in getattr(type(value), "__slots__", ()):
        field = getattr(value, name)
        if isinstance(field, Identifier):
            fields.append(f"{name}={field.short}")
        elif isinstance(field, (bool, int, float, str)):
            fields.append(f"{name}={str(field)[:_TEXT_CHARS_MAX]}")
    return f"{type(value).__name__}({' '.join(fields)})"
