"""Golden vectors of the kinds that say who an agent is: log entries, card, presence.

All of them tell one story: an agent is born with one device, adds another, is moved
to a third by its recovery phrase, and in another world retires. Keys come from seeds
of equal bytes, so that any language can make them.
"""

from nestmate_protocol.identity.cards import (
    HostOffer,
    Profile,
    SkillOffer,
    make_card,
    make_presence,
)
from nestmate_protocol.identity.log import (
    IdentityLog,
    add_device,
    begin_log,
    retire_log,
    rotate_log,
)
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import (
    SigningKey,
    derive,
    host_peer,
    recovery_key,
    rotation_key,
)
from nestmate_protocol.records import NO_NETWORK, Record, open_record

FIRST, SECOND, THIRD = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
RECOVERY = b"\x04" * 32
NONCE = b"\x05" * 16
NETWORK = NetworkId(b"\x06" * 32)
SEQ, VALID_UNTIL = 1_800_000_000_000, 1_800_172_800_000
HOST = HostOffer(host_peer(THIRD), ("/ip4/192.0.2.7/tcp/4001",))
PROFILE = Profile(
    hosts=(HOST,),
    skills=(
        SkillOffer(
            "code.review", "Reviews Python", '{"type":"string"}', "", "0.05 USDC"
        ),
    ),
    called="Ann",
)

Vector = tuple[str, dict[str, object], Record]


def born() -> IdentityLog:
    first, second = rotation_key(RECOVERY, 1), recovery_key(RECOVERY)
    return begin_log(SigningKey(FIRST), first.public, second.public, NONCE)


def grown() -> IdentityLog:
    return add_device(born(), SigningKey(FIRST), SigningKey(SECOND).public)


def moved() -> IdentityLog:
    first, second = rotation_key(RECOVERY, 1), rotation_key(RECOVERY, 2)
    return rotate_log(born(), first, [SigningKey(THIRD).public], second.public)


def last_entry(log: IdentityLog) -> Record:
    return open_record(log.entries[-1], NO_NETWORK)


def inception() -> Vector:
    inputs = {
        "seed": FIRST,
        "network": NO_NETWORK.raw,
        "nonce": NONCE,
        "recovery_seed": RECOVERY,
        "next_rotation_key": rotation_key(RECOVERY, 1).public.raw,
        "recovery_key": recovery_key(RECOVERY).public.raw,
        "address": born().address.text,
    }
    return "An agent is born; the id is its address.", inputs, last_entry(born())


def device() -> Vector:
    inputs = {
        "seed": FIRST,
        "network": NO_NETWORK.raw,
        "log": born().entries,
        "device_key": SigningKey(SECOND).public.raw,
    }
    return "The first device lets a second one in.", inputs, last_entry(grown())


def rotate() -> Vector:
    inputs = {
        "seed": derive(RECOVERY, "rotation/1"),
        "network": NO_NETWORK.raw,
        "log": born().entries,
        "device_keys": [SigningKey(THIRD).public.raw],
        "next_rotation_key": rotation_key(RECOVERY, 2).public.raw,
    }
    comment = "The committed rotation key replaces all devices by a third one."
    return comment, inputs, last_entry(moved())


def retire() -> Vector:
    log = retire_log(born(), recovery_key(RECOVERY))
    inputs = {
        "seed": derive(RECOVERY, "recovery"),
        "network": NO_NETWORK.raw,
        "log": born().entries,
    }
    return "The recovery key ends the agent.", inputs, last_entry(log)


def card() -> Vector:
    log = moved()
    key = SigningKey(THIRD)
    made = make_card(key, NETWORK, log, PROFILE, seq=SEQ, valid_until_ms=VALID_UNTIL)
    inputs = {"seed": THIRD, "network": NETWORK.raw, "log": log.entries}
    comment = "The third device says where the agent is and what it offers."
    return comment, inputs, open_record(made.data, NETWORK)


def presence() -> Vector:
    log = moved()
    key = SigningKey(THIRD)
    made = make_presence(
        *(key, NETWORK, log, PROFILE.hosts), seq=SEQ, valid_until_ms=VALID_UNTIL
    )
    inputs = {"seed": THIRD, "network": NETWORK.raw, "log": log.entries}
    comment = "The short form of the card, for the DHT."
    return comment, inputs, open_record(made.data, NETWORK)


VECTORS = {
    "inception": inception,
    "device": device,
    "rotate": rotate,
    "retire": retire,
    "card": card,
    "presence": presence,
}
