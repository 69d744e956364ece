"""Grants: who may do what, where and until when, as a value that can only be narrowed.

A grant names device keys, rights, path prefixes and types, and how often it may be
passed on. Whoever holds one may give away less than it has and never more; a rotated
key takes over what its address was granted, with nothing but its identity log to prove
it. What a person reads is made from the grant, never the other way round. This file
knows no op, no space and no clock, and verifies nobody's signature but those of logs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import Final

from nestmate_protocol.codec import Encodable, Fields, Value, decode, encode, plain
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.log import IdentityLog, open_log
from nestmate_protocol.ids import Address, DeviceKey
from nestmate_protocol.limits import (
    GRANT_DEPTH_MAX,
    GRANT_KEYS_MAX,
    GRANT_PATHS_MAX,
    GRANT_TYPES_MAX,
    LOG_BYTES_MAX,
    LOG_ENTRIES_MAX,
    NAME_CHARS_MAX,
    PATH_BYTES_MAX,
)

SELF: Final = "{self}"
"""The path segment that stands for the address a grant is made out to."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRES_MS_MAX: Final = 253_402_300_799_999  # the last millisecond of the year 9999
_TYPE_CODE_MAX: Final = 255


class Rights(IntFlag):
    """What a grant lets its holder do; the bits are those of the wire.

    ``RULE`` is for what governs the others: paths that begin with a full stop, and
    money made from nothing. ``RELAY`` is to hold and pass on what one cannot read.
    """

    READ = 1
    WRITE = 2
    GRANT = 4
    RULE = 8
    RELAY = 16


ALL_RIGHTS: Final = Rights(31)

_WORDS: Final = {
    Rights.READ: "read",
    Rights.WRITE: "write",
    Rights.RULE: "set the rules",
    Rights.GRANT: "let others in",
    Rights.RELAY: "hold and pass on",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What is granted, to which keys and in whose name.

    ``who`` is the address the keys speak for, None for whoever bears the key. ``types``
    are codes of types, None for all. ``expires_ms`` is Unix ms, 0 for never. ``depth``
    says through how many more hands it may go. ``closes_ms`` is Unix ms, 0 for never:
    until then whoever bears the key may act under the grant itself, and what was made
    out of it stays; with a ``who`` it is 0. ``log`` are the entries of an identity log
    that prove ``who``. ``generation`` counts the rotations of ``who``'s log, its
    inception included, that the grantor knew of; 0 rules out succession. ``areas`` are
    the paths with ``{self}`` filled in.
    """

    who: Address | None
    keys: tuple[DeviceKey, ...]
    rights: Rights
    paths: tuple[str, ...]
    types: frozenset[int] | None = None
    expires_ms: int = 0
    depth: int = 0
    log: tuple[bytes, ...] = field(default=(), repr=False)
    label: str = ""
    generation: int = 0
    closes_ms: int = 0
    areas: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        areas = self.paths if self.who is None else _filled(self.paths, self.who)
        object.__setattr__(self, "areas", areas)

    def fields(self) -> dict[int, Encodable]:
        """The grant as it stands in an op; ``read_grant`` takes it back."""
        body: dict[int, Encodable] = {
            1: [key.raw for key in self.keys],
            2: int(self.rights),
            3: list(self.paths),
            6: self.depth,
        }
        if self.who is not None:
            body[0] = self.who.raw
        if self.types is not None:
            body[4] = sorted(self.types)
        if self.expires_ms:
            body[5] = self.expires_ms
        if self.log:
            body[7] = list(self.log)
        if self.label:
            body[8] = self.label
        if self.generation:
            body[9] = self.generation
        if self.closes_ms:
            body[10] = self.closes_ms
        return body

    def covers(self, right: Rights, path: str, kind: int) -> bool:
        """Whether it lets its holder use ``right`` on the object (path, kind)."""
        return (
            right in self.rights
            and (self.types is None or kind in self.types)
            and any(is_below(path, area) for area in self.areas)
        )

    def lets_issue(self, child: "Grant", author: DeviceKey) -> bool:
        """Whether ``author`` may make ``child`` out of this grant.

        Either it is handed on by a holder with the right to, or its address takes it
        over after a rotation.
        """
        if not self._exceeds(child):
            return False
        handed_on = (
            author in self.keys
            and Rights.GRANT in self.rights
            and child.depth < self.depth
        )
        return handed_on or self.falls_to(child, author)

    def falls_to(self, child: "Grant", author: DeviceKey) -> bool:
        """Whether ``child`` is this very grant in the hands of its address's new keys.

        Its log must hold more rotations than the grantor knew of: a device cannot make
        one, so a key that was rotated away takes over nothing.
        """
        if self.who is None or child.who != self.who or not self.generation:
            return False
        if child.depth > self.depth:
            return False
        log = _log_of(child)
        return (
            log is not None
            and len(log.established) > self.generation
            and child.generation == len(log.established)
            and author in log.devices
        )

    def _exceeds(self, child: "Grant") -> bool:
        """Whether ``child`` gives nothing that this grant does not."""
        return (
            child.rights & ~self.rights == 0
            and _ends_no_later(child.expires_ms, self.expires_ms)
            and _has_no_more(child.types, self.types)
            and self._contains(child)
        )

    def _contains(self, child: "Grant") -> bool:
        """Whether all of the child's areas lie within those of this grant.

        What a bearer grants to ``{self}`` goes to the address that proves itself.
        """
        if _all_below(child.areas, self.areas):
            return True
        if self.who is not None or child.who is None:
            return False
        areas = _filled(self.paths, child.who)
        return _all_below(child.areas, areas) and _log_of(child) is not None

    def sentence(self, names: Mapping[int, str]) -> str:
        """What a person reads; ``names`` has a word for each type, in the plural."""
        who = "whoever bears its key" if self.who is None else self.who.text
        if self.label:
            who = f"{plain(self.label)} ({who})"
        words = [word for right, word in _WORDS.items() if right in self.rights]
        places = "everywhere" if "" in self.areas else f"below {_listed(self.areas)}"
        said = f"{who} may {_listed(words) or 'do nothing'} {places}"
        if self.types is not None:
            kinds = [names.get(code, f"type {code}") for code in sorted(self.types)]
            said += f", {_listed(kinds) or 'no types'} only"
        if self.closes_ms:
            said += f", to be taken up until {_date(self.closes_ms)}"
        if self.expires_ms:
            said += f", until {_date(self.expires_ms)}"
        if Rights.GRANT in self.rights and self.depth:
            hands = "one more hand" if self.depth == 1 else f"{self.depth} more hands"
            said += f", and pass it on through {hands}"
        return said + "."


def read_grant(value: Value) -> Grant:
    """The grant out of an op that came from somewhere; RemoteError if it is none."""
    if type(value) is not dict:
        raise RemoteError(Fault.BAD_FIELD, "grant")
    body = Fields(value)
    keys = body.identifiers(1, DeviceKey, GRANT_KEYS_MAX)
    if not keys or list(keys) != sorted(set(keys)):
        raise RemoteError(Fault.BAD_FIELD, "keys of a grant")
    log = Fields(body.items(7, LOG_ENTRIES_MAX))
    who = body.identifier_or(0, Address, None)
    closes_ms = body.integer_or(10, 0, 1, _EXPIRES_MS_MAX)
    return Grant(
        who=who,
        keys=keys,
        rights=Rights(body.integer(2, 0, int(ALL_RIGHTS))),
        paths=_read_paths(body.items(3, GRANT_PATHS_MAX)),
        types=None if body.body.get(4) is None else _read_types(body),
        expires_ms=body.integer_or(5, 0, 1, _EXPIRES_MS_MAX),
        depth=body.integer(6, 0, GRANT_DEPTH_MAX),
        log=tuple(log.octets(n, 1, LOG_BYTES_MAX) for n in range(len(log.body))),
        label=body.text_or(8, "", NAME_CHARS_MAX),
        generation=body.integer_or(9, 0, 1, LOG_ENTRIES_MAX),
        closes_ms=closes_ms if who is None else 0,
    )


def check_grant(grant: Grant) -> None:
    """Raise LocalError for a grant of our own that no reader would take."""
    try:
        read_grant(decode(encode(grant.fields())))
    except RemoteError as error:
        raise LocalError(
            f"this grant cannot be: {error}",
            f"it takes 1 to {GRANT_KEYS_MAX} keys in order, 1 to {GRANT_PATHS_MAX} "
            f"paths without empty parts and a depth of at most {GRANT_DEPTH_MAX}",
        ) from None


def is_below(path: str, area: str) -> bool:
    """Whether a path is the area itself or lies below it; segments never split."""
    return not area or path == area or path.startswith(area + "/")


def _read_paths(items: list[Value]) -> tuple[str, ...]:
    paths = tuple(item for item in items if isinstance(item, str))
    if not items or len(paths) != len(items) or not all(map(_is_prefix, paths)):
        raise RemoteError(Fault.BAD_FIELD, "paths of a grant")
    return paths


def _is_prefix(path: str) -> bool:
    return not path or (
        len(path.encode()) <= PATH_BYTES_MAX and "" not in path.split("/")
    )


def _read_types(body: Fields) -> frozenset[int]:
    codes = Fields(body.items(4, GRANT_TYPES_MAX))
    return frozenset(
        codes.integer(n, 0, _TYPE_CODE_MAX) for n in range(len(codes.body))
    )


def _filled(paths: tuple[str, ...], who: Address) -> tuple[str, ...]:
    """The paths with the address in the place of every ``{self}``."""
    if not any(SELF in path for path in paths):
        return paths
    return tuple(
        "/".join(who.text if part == SELF else part for part in path.split("/"))
        for path in paths
    )


def _log_of(grant: Grant) -> IdentityLog | None:
    """The log that proves who holds the grant, None if it proves nothing.

    Every key that is granted must speak for the address now.
    """
    if grant.who is None or not grant.log:
        return None
    try:
        log = open_log(grant.log)
    except RemoteError:
        return None
    proves = log.address == grant.who and log.devices.issuperset(grant.keys)
    return log if proves else None


def _all_below(paths: tuple[str, ...], areas: tuple[str, ...]) -> bool:
    return all(any(is_below(path, area) for area in areas) for path in paths)


def _ends_no_later(child_ms: int, parent_ms: int) -> bool:
    return not parent_ms or 0 < child_ms <= parent_ms


def _has_no_more(child: frozenset[int] | None, parent: frozenset[int] | None) -> bool:
    return parent is None or (child is not None and child <= parent)


def _date(unix_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _listed(words: "tuple[str, ...] | list[str]") -> str:
    """Words as a sentence lists them: one, two and three."""
    *rest, last = [plain(word) for word in words] or [""]
    return f"{', '.join(rest)} and {last}" if rest else last
