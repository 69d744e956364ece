"""The types that fields of requests and responses share.

This file knows no operation.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nestmate_protocol.limits import MULTIADDR_CHARS_MAX, SKILL_CHARS_MAX

WHO_CHARS_MAX = 128


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for; a field nobody knows is refused, because it is a mistake."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered; every key is always there, ``null`` where nothing is known."""


Who = Annotated[
    str,
    Meta(
        description="An agent: its address (nest1…) or the local name of a contact.",
        min_length=1,
        max_length=WHO_CHARS_MAX,
        extra={"kind": "who"},
    ),
]
# Patterns that are told in schemas but not enforced there: what parses an id or a
# duration has a better sentence for what is wrong than a pattern has.
DURATION_PATTERN = r"^(\d+(\.\d+)?|(\d{1,12}(ms|[smhd]))+)$"
TASK_PATTERN = "^task1[02-9ac-hj-np-z]{58}$"
ADDRESS_PATTERN = "^nest1[02-9ac-hj-np-z]{58}$"

TaskText = Annotated[
    str,
    Meta(
        description="A task id (task1…).",
        max_length=128,
        extra={"kind": "task"},
        extra_json_schema={"pattern": TASK_PATTERN},
    ),
]
SkillName = Annotated[
    str,
    Meta(
        description="The name of a skill.",
        min_length=1,
        max_length=SKILL_CHARS_MAX,
        extra={"kind": "skill"},
    ),
]
Multiaddr = Annotated[
    str,
    Meta(
        description="A libp2p multiaddr that ends in /p2p/PEER.",
        min_length=1,
        max_length=MULTIADDR_CHARS_MAX,
    ),
]
Timeout = Annotated[
    float | str,
    Meta(
        description="How long to wait at most, 300 s or less: seconds, or text such "
        "as 90s or 5m.",
        extra={"kind": "duration"},
        extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0, "maximum": 300},
    ),
]
Wait = Annotated[
    float | str,
    Meta(
        description="How long to wait for the other side, 0 for not at all: seconds, "
        "or text such as 90s or 5m.",
        extra={"kind": "duration"},
        extra_json_schema={"pattern": DURATION_PATTERN, "minimum": 0, "maximum": 300},
    ),
]
Document = Annotated[
    Any,
    Meta(
        description="Any JSON value or text; bytes that are neither are written "
        '{"base64": "…"}.',
        extra={"kind": "json"},
    ),
]
Schema = Annotated[
    dict[str, Any] | bool | None,
    Meta(description="A JSON Schema, or null for none.", extra={"kind": "json"}),
]


class Done(Response, frozen=True):
    """It is so."""

    done: Annotated[bool, Meta(description="Always true.")] = True
