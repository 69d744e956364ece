"""Cards and presence: what an agent says of itself, signed by one of its devices.

A card brings the identity log that entitles its signer, where the agent can be
reached and which skills it offers; a presence is its short form for the DHT. Both
prove themselves to whoever meets them, and both end by themselves. This file knows
nothing of where they are kept or of who should believe them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.codec import INTEGER_MAX, Encodable, Fields, plain
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.log import IdentityLog, Rank, read_log
from nestmate_protocol.ids import Address, DeviceKey, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    CARD_TTL_MS,
    DESCRIPTION_CHARS_MAX,
    HOST_ADDRESSES_MAX,
    HOSTS_PER_CARD_MAX,
    LOG_ENTRIES_MAX,
    MULTIADDR_CHARS_MAX,
    NAME_CHARS_MAX,
    PRESENCE_TTL_MS,
    PRICE_CHARS_MAX,
    SCHEMA_BYTES_MAX,
    SKEW_MS_MAX,
    SKILL_CHARS_MAX,
    SKILLS_PER_CARD_MAX,
)
from nestmate_protocol.records import Kind, Record, open_record, sign_record

SEQ_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SkillOffer:
    """One skill: a name, JSON Schemas of input and output, and free-text hints.

    ``price`` is a decimal with a unit such as ``0.05 USDC``, empty for free.
    """

    name: str
    description: str = ""
    input_schema: str = ""
    output_schema: str = ""
    price: str = ""


@dataclass(frozen=True, slots=True)
class HostOffer:
    """One node that answers for the agent, and where; multiaddrs without ``/p2p``."""

    peer: PeerId
    multiaddrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What an agent says of itself; ``called`` is the name it proposes for itself."""

    hosts: tuple[HostOffer, ...] = ()
    skills: tuple[SkillOffer, ...] = ()
    called: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One valid card; ``data`` is its original bytes.

    Texts are fit to be shown (``codec.plain``), except that schemas and multiaddrs
    come as they are. ``seq`` is the card's version and ``valid_until_ms`` Unix ms.
    """

    address: Address
    log: IdentityLog
    author: DeviceKey
    hosts: tuple[HostOffer, ...]
    skills: tuple[SkillOffer, ...]
    valid_until_ms: int
    seq: int
    called: str
    data: bytes

    @property
    def rank(self) -> tuple[Rank, int, bytes]:
        """Of two cards of one address the one that ranks higher is the one to keep."""
        return self.log.rank, self.seq, self.data


@dataclass(frozen=True, slots=True)
class Presence:
    """One valid presence record: which log holds, and where the agent is reached."""

    address: Address
    log: IdentityLog
    author: DeviceKey
    hosts: tuple[HostOffer, ...]
    valid_until_ms: int
    seq: int
    data: bytes

    @property
    def rank(self) -> tuple[Rank, int, bytes]:
        """Of two presences of one address the one that ranks higher is to be kept."""
        return self.log.rank, self.seq, self.data


def check_skill(skill: SkillOffer) -> None:
    """Come back only if other nodes will take this offer; LocalError says why not."""
    if not _is_name(skill.name):
        raise LocalError(
            f"{skill.name[:80]!r} cannot name a skill",
            f"a name is one line of 1 to {SKILL_CHARS_MAX} visible characters",
        )
    if len(skill.description) > DESCRIPTION_CHARS_MAX:
        raise LocalError(
            f"a description takes {DESCRIPTION_CHARS_MAX} characters at most"
        )
    if len(skill.price) > PRICE_CHARS_MAX:
        raise LocalError(f"a price takes {PRICE_CHARS_MAX} characters at most")
    for schema in (skill.input_schema, skill.output_schema):
        if len(schema.encode()) > SCHEMA_BYTES_MAX:
            raise LocalError(f"a schema takes {SCHEMA_BYTES_MAX} bytes at most")


def make_card(
    key: SigningKey,
    network: NetworkId,
    log: IdentityLog,
    profile: Profile,
    *,
    seq: int,
    valid_until_ms: int,
) -> Card:
    """A new card; ``seq`` must be higher than that of every card before it.

    Raises LocalError for whatever no other node would accept.
    """
    _check_signer(key, log)
    _check_hosts(profile.hosts)
    for skill in profile.skills:
        check_skill(skill)
    body: dict[int, Encodable] = {
        1: log.entries,
        2: [[host.peer.raw, host.multiaddrs] for host in profile.hosts],
        3: [
            [
                skill.name,
                skill.description,
                skill.input_schema,
                skill.output_schema,
                skill.price,
            ]
            for skill in profile.skills
        ],
        7: valid_until_ms,
        8: seq,
        9: profile.called,
    }
    record = sign_record(key, network, Kind.CARD, body)
    try:
        return _card(record, None)
    except RemoteError as error:
        raise _unacceptable("card", error) from error


def open_card(data: bytes, network: NetworkId, now_wall_ms: int | None) -> Card:
    """The card these foreign bytes are: verified, entitled, and not expired.

    None for the time takes expired ones too, such as those kept on our own disk.
    Raises RemoteError and nothing else, whatever the bytes.
    """
    record = open_record(data, network)
    if record.kind is not Kind.CARD:
        raise RemoteError(Fault.UNKNOWN_KIND, f"{record.kind}, not card")
    return _card(record, now_wall_ms)


def make_presence(
    key: SigningKey,
    network: NetworkId,
    log: IdentityLog,
    hosts: Sequence[HostOffer],
    *,
    seq: int,
    valid_until_ms: int,
) -> Presence:
    """A new presence; ``seq`` must be higher than that of every one before it.

    Raises LocalError for whatever no other node would accept.
    """
    _check_signer(key, log)
    _check_hosts(hosts)
    body: dict[int, Encodable] = {
        1: log.address.raw,
        2: seq,
        3: [[host.peer.raw, host.multiaddrs] for host in hosts],
        4: log.entries,
        5: valid_until_ms,
    }
    record = sign_record(key, network, Kind.PRESENCE, body)
    try:
        return _presence(record, None)
    except RemoteError as error:
        raise _unacceptable("presence", error) from error


def open_presence(data: bytes, network: NetworkId, now_wall_ms: int | None) -> Presence:
    """The presence these foreign bytes are: verified, entitled, and not expired.

    None for the time takes expired ones too. Raises RemoteError and nothing else,
    whatever the bytes.
    """
    record = open_record(data, network)
    if record.kind is not Kind.PRESENCE:
        raise RemoteError(Fault.UNKNOWN_KIND, f"{record.kind}, not presence")
    return _presence(record, now_wall_ms)


def _card(record: Record, now_wall_ms: int | None) -> Card:
    fields = record.fields
    valid_until_ms = _valid_until(fields, 7, now_wall_ms, CARD_TTL_MS)
    hosts = _hosts(fields, 2)
    skills = tuple(_skill(row) for row in fields.rows(3, SKILLS_PER_CARD_MAX))
    if len({skill.name for skill in skills}) != len(skills):
        raise RemoteError(Fault.BAD_FIELD, "skill offered twice")
    log = _entitled_log(fields, 1, record.author)
    return Card(
        address=log.address,
        log=log,
        author=record.author,
        hosts=hosts,
        skills=skills,
        valid_until_ms=valid_until_ms,
        seq=fields.integer(8, 0, SEQ_MAX),
        called=plain(fields.text_or(9, "", NAME_CHARS_MAX)),
        data=record.data,
    )


def _presence(record: Record, now_wall_ms: int | None) -> Presence:
    fields = record.fields
    valid_until_ms = _valid_until(fields, 5, now_wall_ms, PRESENCE_TTL_MS)
    hosts = _hosts(fields, 3)
    log = _entitled_log(fields, 4, record.author)
    if fields.identifier(1, Address) != log.address:
        raise RemoteError(Fault.NOT_ENTITLED, "address")
    return Presence(
        address=log.address,
        log=log,
        author=record.author,
        hosts=hosts,
        valid_until_ms=valid_until_ms,
        seq=fields.integer(2, 0, SEQ_MAX),
        data=record.data,
    )


def _entitled_log(fields: Fields, key: int, author: DeviceKey) -> IdentityLog:
    log = read_log(fields.items(key, LOG_ENTRIES_MAX))
    if author not in log.last_devices:
        raise RemoteError(Fault.NOT_ENTITLED, "not a device of this address")
    return log


def _valid_until(fields: Fields, key: int, now_wall_ms: int | None, ttl_ms: int) -> int:
    valid_until_ms = fields.integer(key, 0, INTEGER_MAX)
    if now_wall_ms is not None:
        if valid_until_ms <= now_wall_ms:
            raise RemoteError(Fault.EXPIRED)
        if valid_until_ms > now_wall_ms + ttl_ms + SKEW_MS_MAX:
            raise RemoteError(Fault.FROM_THE_FUTURE)
    return valid_until_ms


def _hosts(fields: Fields, key: int) -> tuple[HostOffer, ...]:
    hosts = tuple(_host(row) for row in fields.rows(key, HOSTS_PER_CARD_MAX))
    if len({host.peer for host in hosts}) != len(hosts):
        raise RemoteError(Fault.BAD_FIELD, "host named twice")
    return hosts


def _host(row: Fields) -> HostOffer:
    places = Fields(row.items(1, HOST_ADDRESSES_MAX))
    count = len(places.body)
    multiaddrs = tuple(places.text(each, MULTIADDR_CHARS_MAX) for each in range(count))
    if not all(_is_multiaddr(each) for each in multiaddrs):
        raise RemoteError(Fault.BAD_FIELD, "multiaddr")
    return HostOffer(row.identifier(0, PeerId), multiaddrs)


def _skill(row: Fields) -> SkillOffer:
    name = row.text(0, SKILL_CHARS_MAX)
    if not _is_name(name):
        raise RemoteError(Fault.BAD_FIELD, "skill name")
    return SkillOffer(
        name=name,
        description=plain(row.text_or(1, "", DESCRIPTION_CHARS_MAX)),
        input_schema=_schema(row, 2),
        output_schema=_schema(row, 3),
        price=plain(row.text_or(4, "", PRICE_CHARS_MAX)),
    )


def _schema(row: Fields, key: int) -> str:
    schema = row.text_or(key, "", SCHEMA_BYTES_MAX)
    if len(schema.encode()) > SCHEMA_BYTES_MAX:
        raise RemoteError(Fault.BAD_FIELD, "schema")
    return schema


def _is_name(text: str) -> bool:
    """Whether two people who read it aloud mean the same bytes."""
    return bool(text) and len(text) <= SKILL_CHARS_MAX and plain(text) == text


def _is_multiaddr(text: str) -> bool:
    return (
        text.startswith("/")
        and len(text) <= MULTIADDR_CHARS_MAX
        and text.isascii()
        and text.isprintable()
    )


def _check_signer(key: SigningKey, log: IdentityLog) -> None:
    if key.public not in log.last_devices:
        raise LocalError(
            "this device does not speak for the address any more",
            "give it a new key with the recovery phrase",
        )


def _check_hosts(hosts: Sequence[HostOffer]) -> None:
    for multiaddr in (each for host in hosts for each in host.multiaddrs):
        if not _is_multiaddr(multiaddr):
            raise LocalError(
                f"{multiaddr[:80]!r} is not a multiaddr",
                "write it like /ip4/192.0.2.7/tcp/4001",
            )


def _unacceptable(what: str, error: RemoteError) -> LocalError:
    return LocalError(f"no other node would take this {what}: {error}")
