"""Identity log: the self-certifying history that says which keys speak for an agent.

The first entry makes the address; each later one names the one before. Devices may
add and remove devices; only the key whose hash was committed in advance, or the
recovery key, may replace them all or end the agent. This file knows nothing of cards,
networks or where a log was found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from nestmate_protocol.codec import Encodable, decode, encode, row
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import ID_BYTES, Address, DeviceKey, RecordId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    DEVICES_MAX,
    FRAME_BYTES_MAX,
    LOG_BYTES_MAX,
    LOG_ENTRIES_MAX,
)
from nestmate_protocol.records import (
    NO_NETWORK,
    Kind,
    Record,
    open_record,
    sign_record,
)

NONCE_BYTES: Final = 16

# Devices may not fill a log: a rotation of many devices and the end must still fit.
_KEPT_FOR_ROTATION: Final = (2, 1_024)
_KEPT_FOR_RETIREMENT: Final = (1, 256)
_NOTHING_KEPT: Final = (0, 0)

Rank = tuple[bool, int, int, tuple[RecordId, ...], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class IdentityLog:
    """A valid log and what follows from it.

    ``devices`` are the keys that speak for the address now: none once it is retired,
    when ``last_devices`` may still sign the card that passes the news on.
    ``established`` are the positions of inception, rotations and retirement;
    ``next_rotation`` and ``recovery`` are SHA-256 of public keys.
    """

    address: Address
    entries: tuple[bytes, ...]
    ids: tuple[RecordId, ...]
    established: tuple[int, ...]
    last_devices: frozenset[DeviceKey]
    next_rotation: bytes
    recovery: bytes
    retired: bool

    @property
    def devices(self) -> frozenset[DeviceKey]:
        """The keys that speak for the address now."""
        return frozenset() if self.retired else self.last_devices

    @property
    def position(self) -> int:
        """The place of the last entry, counted from 0."""
        return len(self.entries) - 1

    @property
    def head(self) -> RecordId:
        """The id of the last entry, which the next one must name."""
        return self.ids[-1]

    @property
    def rank(self) -> Rank:
        """Of two logs of one address the one that ranks higher is the one that holds.

        A total order, so that every node that saw the same logs holds the same one:
        retired, then more rotations, then longer; the rest only breaks ties.
        """
        return (
            self.retired,
            len(self.established),
            len(self.entries),
            self.ids,
            self.entries,
        )


def open_log(entries: Sequence[bytes]) -> IdentityLog:
    """The log these foreign bytes are, every entry verified.

    Raises RemoteError and nothing else, whatever the bytes.
    """
    if not 1 <= len(entries) <= LOG_ENTRIES_MAX:
        raise RemoteError(Fault.OVER_LIMIT, f"log of {len(entries)} entries")
    if sum(map(len, entries)) > LOG_BYTES_MAX:
        raise RemoteError(Fault.TOO_LARGE, "log")
    log = _begun(open_record(entries[0], NO_NETWORK))
    for entry in entries[1:]:
        log = _extended(log, open_record(entry, NO_NETWORK))
    return log


def read_log(items: Sequence[object]) -> IdentityLog:
    """The log in an array out of a record; RemoteError as in ``open_log``."""
    entries = [item for item in items if isinstance(item, bytes)]
    if len(entries) != len(items):
        raise RemoteError(Fault.BAD_FIELD, "log entry")
    return open_log(entries)


def begin_log(
    device: SigningKey, next_rotation: DeviceKey, recovery: DeviceKey, nonce: bytes
) -> IdentityLog:
    """A new agent: its first device signs, ``nonce`` is 16 fresh random bytes."""
    if len(nonce) != NONCE_BYTES:
        raise LocalError(f"an inception takes {NONCE_BYTES} random bytes")
    body = {1: nonce, 2: _digest(next_rotation), 3: _digest(recovery)}
    return _begun(sign_record(device, NO_NETWORK, Kind.INCEPTION, body))


def rotate_log(
    log: IdentityLog,
    signer: SigningKey,
    devices: Collection[DeviceKey],
    next_rotation: DeviceKey,
) -> IdentityLog:
    """Replace all devices at once and commit to the key of the next rotation.

    ``signer`` is the committed rotation key or the recovery key. The new entry stands
    on the last rotation, not on the device entries since: it overrules those anyway,
    so they go, and no device can fill up a log.
    """
    _needs_authority(log, signer)
    if not 1 <= len(set(devices)) <= DEVICES_MAX or signer.public in devices:
        raise LocalError(
            f"a rotation names 1 to {DEVICES_MAX} devices and not its own signer"
        )
    if next_rotation == signer.public:
        raise LocalError("a rotation key is used once", "commit to the next one")
    keys = [key.raw for key in sorted(set(devices))]
    body: dict[int, Encodable] = {3: keys, 4: _digest(next_rotation)}
    ground = open_log(log.entries[: log.established[-1] + 1])
    return _appended(ground, signer, Kind.ROTATE, body, _KEPT_FOR_RETIREMENT)


def add_device(log: IdentityLog, signer: SigningKey, device: DeviceKey) -> IdentityLog:
    """Let one more device speak for the agent; a current device signs."""
    _needs_device(log, signer)
    if device in log.devices or len(log.devices) == DEVICES_MAX:
        raise LocalError("this device is there already, or there are too many")
    body: dict[int, Encodable] = {3: True, 4: device.raw}
    return _appended(log, signer, Kind.DEVICE, body, _KEPT_FOR_ROTATION)


def remove_device(
    log: IdentityLog, signer: SigningKey, device: DeviceKey
) -> IdentityLog:
    """Let a device speak for the agent no longer; a current device signs."""
    _needs_device(log, signer)
    if device not in log.devices or len(log.devices) == 1:
        raise LocalError("this device is not there, or it is the last one")
    body: dict[int, Encodable] = {3: False, 4: device.raw}
    return _appended(log, signer, Kind.DEVICE, body, _KEPT_FOR_ROTATION)


def retire_log(log: IdentityLog, signer: SigningKey) -> IdentityLog:
    """End the agent for good; the rotation key or the recovery key signs."""
    _needs_authority(log, signer)
    return _appended(log, signer, Kind.RETIRE, {}, _NOTHING_KEPT)


@dataclass(frozen=True, slots=True)
class ForkProof:
    """Two valid histories of one address that cannot both be honest.

    Each side ends with the entry that proves it. Whoever holds one should not put new
    trust into the address while it ``stands``.
    """

    left: IdentityLog
    right: IdentityLog

    @property
    def address(self) -> Address:
        """Whose log it is."""
        return self.left.address

    @property
    def data(self) -> bytes:
        """The proof as it is kept and passed on: ``[1, [entries], [entries]]``."""
        return encode([1, self.left.entries, self.right.entries])

    def stands(self, log: IdentityLog) -> bool:
        """Whether the proof still counts for whoever knows ``log``.

        Devices that contradicted each other are overruled by a later rotation; two
        rotations that contradict each other are never healed.
        """
        best = max(log, self.left, self.right, key=lambda each: each.rank)
        return any(_fork(best, side) for side in (self.left, self.right))


@dataclass(frozen=True, slots=True)
class Merged:
    """The log that holds, and the proof if the two contradicted each other."""

    log: IdentityLog
    fork: ForkProof | None


def merge_logs(one: IdentityLog, other: IdentityLog) -> Merged:
    """What to believe after seeing two logs of one address, in whichever order.

    A rotation or retirement overrules device entries of the other branch. Raises
    RemoteError with BROKEN_CHAIN for logs of two addresses.
    """
    if one.address != other.address:
        raise RemoteError(Fault.BROKEN_CHAIN, "two addresses")
    return Merged(max(one, other, key=lambda log: log.rank), _fork(one, other))


def open_fork(data: bytes) -> ForkProof:
    """The proof these foreign bytes are; RemoteError if they prove nothing."""
    parts = row(decode(data, FRAME_BYTES_MAX))
    if parts.integer(0, 0, DEVICES_MAX) != 1:
        raise RemoteError(Fault.UNKNOWN_VERSION, "fork proof")
    one = read_log(parts.items(1, LOG_ENTRIES_MAX))
    other = read_log(parts.items(2, LOG_ENTRIES_MAX))
    fork = merge_logs(one, other).fork
    if fork is None:
        raise RemoteError(Fault.BROKEN_CHAIN, "no fork")
    return fork


def _fork(one: IdentityLog, other: IdentityLog) -> ForkProof | None:
    """The shortest proof that two logs of one address contradict each other."""
    pairs = enumerate(zip(one.ids, other.ids, strict=False))
    place = next((place for place, (a, b) in pairs if a != b), None)
    if place is None:
        return None  # one continues the other
    ends = [_established_from(log, place) for log in (one, other)]
    if ends.count(None) == 1:
        return None  # a rotation overrules devices
    shared = [min(pair) for pair in zip(one.entries, other.entries, strict=False)]
    sides = []
    for log, end in zip((one, other), ends, strict=True):
        last = place if end is None else end
        sides.append(open_log([*shared[:place], *log.entries[place : last + 1]]))
    left, right = sorted(sides, key=lambda log: log.rank)
    return ForkProof(left, right)


def _established_from(log: IdentityLog, place: int) -> int | None:
    return next((each for each in log.established if each >= place), None)


def _begun(record: Record) -> IdentityLog:
    if record.kind is not Kind.INCEPTION:
        raise RemoteError(Fault.BROKEN_CHAIN, "no inception")
    record.fields.octets(1, NONCE_BYTES, NONCE_BYTES)
    next_rotation = record.fields.octets(2, ID_BYTES, ID_BYTES)
    recovery = record.fields.octets(3, ID_BYTES, ID_BYTES)
    if _digest(record.author) in {next_rotation, recovery}:
        raise RemoteError(Fault.BAD_FIELD, "a device key is no rotation key")
    return IdentityLog(
        address=Address(record.id.raw),
        entries=(record.data,),
        ids=(record.id,),
        established=(0,),
        last_devices=frozenset((record.author,)),
        next_rotation=next_rotation,
        recovery=recovery,
        retired=False,
    )


def _extended(log: IdentityLog, record: Record) -> IdentityLog:
    """The log with one more entry, if that entry may be there."""
    fields, place = record.fields, len(log.entries)
    if log.retired or fields.identifier(1, RecordId) != log.head:
        raise RemoteError(Fault.BROKEN_CHAIN, f"entry {place}")
    if fields.integer(2, 1, LOG_ENTRIES_MAX) != place:
        raise RemoteError(Fault.BROKEN_CHAIN, f"position of entry {place}")
    longer = replace(
        log, entries=(*log.entries, record.data), ids=(*log.ids, record.id)
    )
    if record.kind is Kind.DEVICE:
        return replace(longer, last_devices=_changed_devices(log, record))
    if record.kind not in {Kind.ROTATE, Kind.RETIRE}:
        raise RemoteError(Fault.BROKEN_CHAIN, f"kind of entry {place}")
    if _digest(record.author) not in {log.next_rotation, log.recovery}:
        raise RemoteError(Fault.NOT_ENTITLED, f"entry {place}")
    longer = replace(longer, established=(*log.established, place))
    if record.kind is Kind.RETIRE:
        return replace(longer, retired=True)
    keys = fields.identifiers(3, DeviceKey, DEVICES_MAX)
    if not keys or list(keys) != sorted(set(keys)) or record.author in keys:
        raise RemoteError(Fault.BAD_FIELD, "devices")
    next_rotation = fields.octets(4, ID_BYTES, ID_BYTES)
    if next_rotation == _digest(record.author):
        raise RemoteError(Fault.BAD_FIELD, "next rotation")
    return replace(longer, last_devices=frozenset(keys), next_rotation=next_rotation)


def _changed_devices(log: IdentityLog, record: Record) -> frozenset[DeviceKey]:
    if record.author not in log.devices:
        raise RemoteError(Fault.NOT_ENTITLED, "device")
    adds = record.fields.boolean(3)
    device = record.fields.identifier(4, DeviceKey)
    if adds == (device in log.devices):
        raise RemoteError(Fault.BAD_FIELD, "device")
    devices = log.devices | {device} if adds else log.devices - {device}
    if not 1 <= len(devices) <= DEVICES_MAX:
        raise RemoteError(Fault.OVER_LIMIT, "devices")
    return devices


def _needs_authority(log: IdentityLog, signer: SigningKey) -> None:
    if log.retired:
        raise LocalError("this identity is retired; nothing follows")
    if _digest(signer.public) not in {log.next_rotation, log.recovery}:
        raise LocalError(
            "this is neither the next rotation key nor the recovery key",
            "use the recovery phrase that was shown when the identity was made",
        )


def _needs_device(log: IdentityLog, signer: SigningKey) -> None:
    if signer.public not in log.devices:
        raise LocalError("only a current device may change the devices")


def _appended(
    log: IdentityLog,
    signer: SigningKey,
    kind: Kind,
    body: Mapping[int, Encodable],
    kept: tuple[int, int],
) -> IdentityLog:
    """The log with a new entry of our own; ``kept`` entries and bytes stay free."""
    place = len(log.entries)
    record = sign_record(signer, NO_NETWORK, kind, {**body, 1: log.head.raw, 2: place})
    size = len(record.data) + sum(map(len, log.entries))
    if place + 1 + kept[0] > LOG_ENTRIES_MAX or size + kept[1] > LOG_BYTES_MAX:
        raise LocalError(
            "this identity log is full",
            "a rotation with the recovery phrase drops old changes of devices",
        )
    return _extended(log, record)


def _digest(key: DeviceKey) -> bytes:
    return sha256(key.raw).digest()
