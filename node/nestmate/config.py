"""Settings: one frozen value, three presets, and the TOML file a person edits.

``friends`` and ``internet`` are written as differences from ``local``. What a file
says is checked field by field; an unknown or ill-typed field is refused by its path,
never ignored. This file knows nothing of homes, nodes or networks.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final

from nestmate.errors import HomeError
from nestmate.files import write_whole
from nestmate_protocol.limits import (
    CONNECTIONS_IN_MAX,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_RESERVED,
    EVENTS_BYTES_MAX,
    EVENTS_KEPT_MAX,
    EVENTS_PAGE_MAX,
    HOST_ADDRESSES_MAX,
    MULTIADDR_CHARS_MAX,
    NAME_CHARS_MAX,
)

CONFIG_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_CEILING: Final = 4_096
LOG_BYTES_MIN: Final = 64 * 1024
LOG_BYTES_CEILING: Final = 1 << 40
EVENTS_CEILING: Final = 1_000_000_000
EVENTS_BYTES_MIN: Final = 1024 * 1024
EVENTS_BYTES_CEILING: Final = 1 << 40

_LISTEN: Final = re.compile(r"/(?:ip4/[\d.]{7,15}|ip6/[\da-fA-F:.]{2,45})/tcp/(\d+)")
_ANNOUNCE: Final = re.compile(r"/(?:ip4|ip6|dns|dns4|dns6)/[^\s/]+/tcp/(\d+)")
_NETWORK: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PORT_MAX: Final = 65_535


@unique
class Preset(StrEnum):
    """How far a node reaches out of the box."""

    LOCAL = "local"
    FRIENDS = "friends"
    INTERNET = "internet"


@unique
class Sense(StrEnum):
    """Which signals are shown to this node's agents."""

    ALL = "all"
    SKILLS = "skills"


@unique
class Urgency(StrEnum):
    """How much counts of the urgency that others declare."""

    CREDIT = "credit"
    RANK = "rank"


@unique
class LogLevel(StrEnum):
    """How much a node writes into its log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds a user may move; all others stand in the protocol's limits."""

    connections_max: int = CONNECTIONS_MAX
    connections_in_max: int = CONNECTIONS_IN_MAX
    connections_per_ip_max: int = CONNECTIONS_PER_IP_MAX
    log_bytes_max: int = 8 * 1024 * 1024
    events_max: int = EVENTS_KEPT_MAX
    events_bytes_max: int = EVENTS_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one node; the defaults are the preset ``local``.

    ``name`` is what the agent proposes to be called. In ``listen`` port 0 means any
    free port, anew at each start. An empty ``announce`` means: whatever listens.
    """

    preset: Preset = Preset.LOCAL
    name: str = ""
    network: str = "main"
    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    announce: tuple[str, ...] = ()
    mdns: bool = False
    sense: Sense = Sense.SKILLS
    urgency: Urgency = Urgency.CREDIT
    log_level: LogLevel = LogLevel.INFO
    limits: Limits = field(default_factory=Limits)

    @property
    def loopback_is_one_ip(self) -> bool:
        """Whether per-address limits count loopback; not where all nodes are on it."""
        return self.preset is not Preset.LOCAL


LOCAL: Final = Config()
FRIENDS: Final = replace(LOCAL, preset=Preset.FRIENDS, listen=("/ip4/0.0.0.0/tcp/0",))
INTERNET: Final = replace(
    FRIENDS,
    preset=Preset.INTERNET,
    limits=replace(LOCAL.limits, connections_per_ip_max=4),
)
PRESETS: Final[Mapping[Preset, Config]] = {
    Preset.LOCAL: LOCAL,
    Preset.FRIENDS: FRIENDS,
    Preset.INTERNET: INTERNET,
}


def read_config(path: Path) -> Config:
    """The settings in a TOML file, on top of the preset it names.

    Raises HomeError with the path of the field that is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HomeError(
            f"The settings in {path} cannot be read: {error.strerror}.",
            'Restore the file, or write one with the single line: preset = "local"',
        ) from error
    if len(data) > CONFIG_BYTES_MAX:
        raise HomeError(f"{path} is too large to be a settings file.")
    try:
        return parse_config(data.decode())
    except UnicodeDecodeError as error:
        raise HomeError(f"{path} is not UTF-8 text.") from error
    except HomeError as error:
        raise HomeError(f"{path}: {error}", error.hint) from error


def parse_config(text: str) -> Config:
    """The settings a TOML text stands for; HomeError names the field that is wrong."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HomeError(
            f"this is not TOML ({error}).", "Texts stand in quotes; see https://toml.io"
        ) from error
    base = PRESETS[_preset("preset", table.get("preset", Preset.LOCAL))]
    given = table.pop("limits", {})
    if not isinstance(given, dict):
        raise _wrong("limits", given, "a table", "Write it as [limits], lines below.")
    limits = replace(base.limits, **_read_table("limits.", given, base.limits))
    return _checked(replace(base, limits=limits, **_read_table("", table, base)))


def write_config(path: Path, config: Config) -> None:
    """Write all settings with a comment each, atomically, readable by the owner only.

    What ``read_config`` reads back equals what was written. Raises HomeError for
    settings that could not be read back, OSError when the disk refuses.
    """
    text = format_config(config)
    parse_config(text)
    write_whole(path, text.encode())


def format_config(config: Config) -> str:
    """The whole settings file as text."""
    lines = [
        "# Settings of this node, read when it starts.",
        "# docs/reference/configuration.md explains each one.",
    ]
    for each in fields(config):
        if each.name != "limits":
            lines += ["", f"# {_COMMENTS[each.name]}"]
            lines += [f"{each.name} = {_toml(getattr(config, each.name))}"]
    lines += ["", "[limits]"]
    for each in fields(config.limits):
        lines += [f"# {_COMMENTS[each.name]}"]
        lines += [f"{each.name} = {_toml(getattr(config.limits, each.name))}"]
    return "\n".join(lines) + "\n"


def _read_table(
    where: str, table: Mapping[str, object], base: Config | Limits
) -> dict[str, Any]:
    known = [each.name for each in fields(base)]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            path = where + name
            raise HomeError(
                f"there is no setting {path}.",
                f"The settings here are: {', '.join(known)}.",
            )
        values[name] = _READERS[name](where + name, value)
    return values


def _checked(config: Config) -> Config:
    limits = config.limits
    if limits.connections_in_max + CONNECTIONS_RESERVED >= limits.connections_max:
        raise HomeError(
            f"limits.connections_in_max is {limits.connections_in_max}, which leaves "
            f"too little of limits.connections_max = {limits.connections_max}.",
            f"Keep more than {CONNECTIONS_RESERVED} connections for going out.",
        )
    return config


def _wrong(path: str, value: object, needed: str, hint: str) -> HomeError:
    shown = repr(value)
    if len(shown) > _SHOWN_CHARS_MAX:
        shown = shown[:_SHOWN_CHARS_MAX] + "…"
    return HomeError(f"{path} is {shown}, but {needed} is needed.", hint)


def _choice(kind: type[StrEnum]) -> "_Reader":
    names = [each.value for each in kind]

    def read(path: str, value: object) -> StrEnum:
        if not isinstance(value, str) or value not in names:
            hint = f"Write one of: {', '.join(names)}."
            raise _wrong(path, value, "one of the known words", hint)
        return kind(value)

    return read


def _integer(low: int, high: int) -> "_Reader":
    def read(path: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(path, value, "a whole number", "Write it without quotes.")
        if not low <= value <= high:
            hint = "The bounds stand in docs/reference/configuration.md."
            raise _wrong(path, value, f"a number from {low} to {high}", hint)
        return value

    return read


def _boolean(path: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, value, "true or false", "Write it without quotes.")
    return value


def _name(path: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise _wrong(path, value, "a text of printable characters", "Quote it.")
    if len(value) > NAME_CHARS_MAX or value != value.strip():
        hint = f"Use at most {NAME_CHARS_MAX} characters and no space around them."
        raise _wrong(path, value, "a short name", hint)
    return value


def _network(path: str, value: object) -> str:
    if not _NETWORK.fullmatch(name := _name(path, value)):
        hint = "Use a-z, 0-9, dot, hyphen and underscore; the usual one is main."
        raise _wrong(path, value, "the name of a network", hint)
    return name


def _multiaddrs(form: re.Pattern[str], example: str) -> "_Reader":
    hint = f"Write it like {example}."

    def read(path: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > HOST_ADDRESSES_MAX:
            needed = f"a list of at most {HOST_ADDRESSES_MAX} multiaddrs"
            raise _wrong(path, value, needed, f'Write it like ["{example}"].')
        for place, each in enumerate(value):
            where = f"{path}[{place}]"
            if not isinstance(each, str) or len(each) > MULTIADDR_CHARS_MAX:
                raise _wrong(where, each, "a multiaddr", hint)
            match = form.fullmatch(each)
            if match is None or int(match[1]) > _PORT_MAX:
                raise _wrong(where, each, "a multiaddr", hint)
        return tuple(value)

    return read


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return str(value)


_Reader = Callable[[str, object], Any]
_SHOWN_CHARS_MAX: Final = 80

_preset = _choice(Preset)

_READERS: Final[Mapping[str, _Reader]] = {
    "preset": _preset,
    "name": _name,
    "network": _network,
    "listen": _multiaddrs(_LISTEN, "/ip4/127.0.0.1/tcp/4101"),
    "announce": _multiaddrs(_ANNOUNCE, "/dns4/node.example.org/tcp/4101"),
    "mdns": _boolean,
    "sense": _choice(Sense),
    "urgency": _choice(Urgency),
    "log_level": _choice(LogLevel),
    "connections_max": _integer(2 * CONNECTIONS_RESERVED, CONNECTIONS_CEILING),
    "connections_in_max": _integer(0, CONNECTIONS_CEILING),
    "connections_per_ip_max": _integer(1, CONNECTIONS_CEILING),
    "log_bytes_max": _integer(LOG_BYTES_MIN, LOG_BYTES_CEILING),
    "events_max": _integer(EVENTS_PAGE_MAX, EVENTS_CEILING),
    "events_bytes_max": _integer(EVENTS_BYTES_MIN, EVENTS_BYTES_CEILING),
}

_COMMENTS: Final[Mapping[str, str]] = {
    "preset": "local, friends or internet: what every setting left out falls back to",
    "name": "what this agent proposes to be called",
    "network": "nodes of differently named networks never meet",
    "listen": "multiaddrs to listen on",
    "announce": "multiaddrs told to others in place of those listened on",
    "mdns": "look for nodes on the local network segment",
    "sense": "skills: show signals for skills offered here; all: show every signal",
    "urgency": "credit: an urgent call costs its issuer; rank: calls are compared",
    "log_level": "debug, info, warning or error",
    "connections_max": "connections at once, both ways",
    "connections_in_max": "connections at once that others opened",
    "connections_per_ip_max": "connections at once from one IP address",
    "log_bytes_max": "bytes of log/node.log before it is turned over",
    "events_max": "events kept for who was away",
    "events_bytes_max": "bytes they may take; the oldest go first",
}
