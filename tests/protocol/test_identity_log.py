"""Identity logs: who may change what, which of two histories holds, and what a lie is.

The random histories play an owner with the phrase, honest devices and thieves at once:
every node that saw the same logs, in whichever order, must believe the same.
"""

import hashlib
from contextlib import suppress
from functools import reduce
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from nestmate_protocol.codec import encode
from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.identity.log import (
    ForkProof,
    IdentityLog,
    add_device,
    begin_log,
    merge_logs,
    open_fork,
    open_log,
    read_log,
    remove_device,
    retire_log,
    rotate_log,
)
from nestmate_protocol.keys import SigningKey, recovery_key, rotation_key
from nestmate_protocol.limits import DEVICES_MAX, LOG_BYTES_MAX, LOG_ENTRIES_MAX
from nestmate_protocol.records import NO_NETWORK, Kind, open_record, sign_record

PHRASE = b"r" * 32
ANN, BEN, CY, DEE = (SigningKey(bytes([letter]) * 32) for letter in b"abcd")
DEVICES = (ANN, BEN, CY, DEE)
RECOVERY = recovery_key(PHRASE)
ROTATION = [rotation_key(PHRASE, number) for number in range(1, LOG_ENTRIES_MAX + 2)]


def born(phrase: bytes = PHRASE, nonce: bytes = b"n" * 16) -> IdentityLog:
    rotation, recovery = rotation_key(phrase, 1), recovery_key(phrase)
    return begin_log(ANN, rotation.public, recovery.public, nonce)


LOG = born()


def rotated(log: IdentityLog, *devices: SigningKey, turn: int = 1) -> IdentityLog:
    keys = [device.public for device in devices]
    return rotate_log(log, ROTATION[turn - 1], keys, ROTATION[turn].public)


def entry(log: IdentityLog, signer: SigningKey, kind: Kind, body: dict) -> bytes:
    """Whatever somebody may write as the next entry, well signed."""
    body = {1: log.head.raw, 2: len(log.entries)} | body
    return sign_record(signer, NO_NETWORK, kind, body).data


def fault_of(entries: list[bytes]) -> Fault | None:
    try:
        open_log(entries)
    except RemoteError as error:
        return error.fault
    return None


def test_an_address_is_the_id_of_the_inception_and_outlives_every_key():
    moved = rotated(rotated(add_device(LOG, ANN, BEN.public), CY), DEE, turn=2)
    inception = open_record(LOG.entries[0], NO_NETWORK)
    assert moved.address == LOG.address
    assert LOG.address.raw == inception.id.raw
    assert moved.devices == {DEE.public}
    assert born(nonce=b"m" * 16).address != LOG.address


def test_a_log_comes_back_from_its_entries():
    log = add_device(rotated(LOG, BEN, CY), CY, ANN.public)
    assert open_log(log.entries) == log
    assert read_log(list(log.entries)) == log
    assert (log.position, log.established) == (2, (0, 1))
    assert log.devices == {ANN.public, BEN.public, CY.public}


def test_devices_come_and_go_by_the_word_of_a_device():
    log = add_device(LOG, ANN, BEN.public)
    log = remove_device(log, BEN, ANN.public)
    assert log.devices == {BEN.public}
    with pytest.raises(LocalError):
        add_device(log, ANN, CY.public)


def test_the_recovery_key_may_stand_in_for_the_rotation_key():
    log = rotate_log(LOG, RECOVERY, [BEN.public], ROTATION[1].public)
    assert log.devices == {BEN.public}
    assert rotated(log, CY, turn=2).devices == {CY.public}


def test_a_retired_agent_has_no_devices_and_no_future():
    log = retire_log(add_device(LOG, ANN, BEN.public), ROTATION[0])
    assert (log.retired, log.devices) == (True, frozenset())
    assert log.last_devices == {ANN.public, BEN.public}
    late = entry(log, ROTATION[0], Kind.RETIRE, {})
    assert fault_of([*log.entries, late]) is Fault.BROKEN_CHAIN
    for change in (lambda: retire_log(log, RECOVERY), lambda: rotated(log, CY)):
        with pytest.raises(LocalError, match="retired"):
            change()


def test_keys_without_the_right_are_refused_with_the_way_out():
    for signer in (ANN, BEN, ROTATION[1], recovery_key(b"x" * 32)):
        with pytest.raises(LocalError) as refused:
            rotate_log(LOG, signer, [BEN.public], ROTATION[3].public)
        assert "recovery phrase" in refused.value.hint
        with pytest.raises(LocalError):
            retire_log(LOG, signer)
    for signer in (BEN, ROTATION[0], RECOVERY):
        with pytest.raises(LocalError):
            add_device(LOG, signer, CY.public)


def test_changes_that_make_no_sense_are_refused():
    crowd = [SigningKey(bytes([n]) * 32).public for n in range(DEVICES_MAX + 1)]
    full = rotate_log(LOG, ROTATION[0], crowd[:-1], ROTATION[1].public)
    for change in (
        lambda: add_device(LOG, ANN, ANN.public),
        lambda: remove_device(LOG, ANN, BEN.public),
        lambda: remove_device(LOG, ANN, ANN.public),
        lambda: add_device(full, SigningKey(b"\0" * 32), ANN.public),
        lambda: rotate_log(LOG, ROTATION[0], [], ROTATION[1].public),
        lambda: rotate_log(LOG, ROTATION[0], crowd, ROTATION[1].public),
        lambda: rotate_log(LOG, ROTATION[0], [ROTATION[0].public], ROTATION[1].public),
        lambda: rotate_log(LOG, ROTATION[0], [BEN.public], ROTATION[0].public),
        lambda: begin_log(ANN, BEN.public, CY.public, b"short"),
    ):
        with pytest.raises(LocalError):
            change()


KEYS = [ANN.public.raw, BEN.public.raw]
NEXT = b"h" * 32
FORGERIES = {
    "a device by a stranger": (BEN, Kind.DEVICE, {3: True, 4: CY.public.raw}),
    "a device by the rotation key": (ROTATION[0], Kind.DEVICE, {3: True, 4: NEXT}),
    "a device added twice": (ANN, Kind.DEVICE, {3: True, 4: ANN.public.raw}),
    "a device that was never there": (ANN, Kind.DEVICE, {3: False, 4: NEXT}),
    "the last device": (ANN, Kind.DEVICE, {3: False, 4: ANN.public.raw}),
    "a device without a word": (ANN, Kind.DEVICE, {4: CY.public.raw}),
    "a rotation by a device": (ANN, Kind.ROTATE, {3: KEYS, 4: NEXT}),
    "a rotation by a later key": (ROTATION[1], Kind.ROTATE, {3: KEYS, 4: NEXT}),
    "a rotation to nobody": (ROTATION[0], Kind.ROTATE, {3: [], 4: NEXT}),
    "unsorted devices": (RECOVERY, Kind.ROTATE, {3: sorted(KEYS)[::-1], 4: NEXT}),
    "a device named twice": (RECOVERY, Kind.ROTATE, {3: [KEYS[0]] * 2, 4: NEXT}),
    "too many devices": (RECOVERY, Kind.ROTATE, {3: [NEXT] * 17, 4: NEXT}),
    "no commitment": (RECOVERY, Kind.ROTATE, {3: sorted(KEYS)}),
    "a signer as device": (
        *(RECOVERY, Kind.ROTATE),
        {3: [RECOVERY.public.raw], 4: NEXT},
    ),
    "an end by a device": (ANN, Kind.RETIRE, {}),
    "a second inception": (ANN, Kind.INCEPTION, {1: b"n" * 16, 2: NEXT, 3: NEXT}),
    "another kind": (ANN, Kind.BEAT, {}),
    "another predecessor": (RECOVERY, Kind.RETIRE, {1: NEXT}),
    "another position": (RECOVERY, Kind.RETIRE, {2: 2}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_entry_that_may_not_be_there_spoils_the_log(forgery):
    signer, kind, body = FORGERIES[forgery]
    assert fault_of([*LOG.entries, entry(LOG, signer, kind, body)]) is not None


def test_a_rotation_key_cannot_be_committed_to_twice():
    body = {3: [BEN.public.raw], 4: open_log(LOG.entries).next_rotation}
    again = entry(LOG, ROTATION[0], Kind.ROTATE, body)
    assert fault_of([*LOG.entries, again]) is Fault.BAD_FIELD


def test_the_first_device_is_no_rotation_key():
    with pytest.raises(RemoteError):
        begin_log(ANN, ANN.public, RECOVERY.public, b"n" * 16)


def test_a_log_starts_with_its_inception_and_is_bounded():
    log = add_device(LOG, ANN, BEN.public)
    assert fault_of([]) is Fault.OVER_LIMIT
    assert fault_of(list(log.entries[1:])) is Fault.BROKEN_CHAIN
    assert fault_of(list(reversed(log.entries))) is Fault.BROKEN_CHAIN
    assert fault_of(list(LOG.entries) * 65) is Fault.OVER_LIMIT
    assert fault_of([b"x" * LOG_BYTES_MAX, b"x"]) is Fault.TOO_LARGE
    with pytest.raises(RemoteError):
        read_log([LOG.entries[0], 5])


def test_a_log_full_of_devices_still_has_room_for_its_owner():
    log = LOG
    for _ in range((LOG_ENTRIES_MAX - 3) // 2):
        log = remove_device(add_device(log, ANN, BEN.public), ANN, BEN.public)
    log = add_device(log, ANN, BEN.public)
    with pytest.raises(LocalError, match="full") as refused:
        remove_device(log, ANN, BEN.public)
    assert len(log.entries) == LOG_ENTRIES_MAX - 2
    assert "rotation" in refused.value.hint
    assert len(rotated(log, CY).entries) == 2
    assert retire_log(log, RECOVERY).retired


def test_an_agent_can_always_be_retired_even_after_its_last_rotation():
    log = LOG
    with suppress(LocalError):
        for turn in range(1, LOG_ENTRIES_MAX):
            log = rotated(log, BEN, turn=turn)
    assert 50 < len(log.entries) < LOG_ENTRIES_MAX
    assert retire_log(log, RECOVERY).retired


def test_the_longer_of_two_honest_logs_holds():
    longer = add_device(LOG, ANN, BEN.public)
    for pair in ((LOG, longer), (longer, LOG), (longer, longer)):
        merged = merge_logs(*pair)
        assert (merged.log, merged.fork) == (longer, None)


def test_logs_of_two_agents_do_not_merge():
    with pytest.raises(RemoteError):
        merge_logs(LOG, born(nonce=b"m" * 16))


def test_two_words_of_devices_at_one_place_are_a_proof_of_a_lie():
    left, right = add_device(LOG, ANN, BEN.public), add_device(LOG, ANN, CY.public)
    fork = merge_logs(left, right).fork
    assert fork == merge_logs(right, left).fork
    assert {fork.left, fork.right} == {left, right}
    assert fork.address == LOG.address
    assert open_fork(fork.data) == fork
    assert all(fork.stands(log) for log in (LOG, left, right))


def test_a_rotation_overrules_devices_that_contradict_it():
    thief = add_device(add_device(LOG, ANN, BEN.public), BEN, CY.public)
    owner = rotated(LOG, DEE)
    merged = merge_logs(thief, owner)
    assert (merged.log, merged.fork) == (owner, None)
    assert merge_logs(owner, thief) == merged


def test_a_stolen_device_cannot_freeze_an_agent_from_before_its_rotation():
    owner = rotated(add_device(LOG, ANN, BEN.public), DEE)
    late = add_device(LOG, ANN, CY.public)
    assert merge_logs(owner, late).fork is None
    assert merge_logs(late, owner).log == owner


def test_a_rotation_settles_a_lie_of_devices_for_good():
    left, right = add_device(LOG, ANN, BEN.public), add_device(LOG, ANN, CY.public)
    fork = merge_logs(left, right).fork
    for ground in (LOG, left, right):
        settled = rotated(ground, DEE)
        assert not fork.stands(settled)
        assert not fork.stands(retire_log(settled, RECOVERY))


def test_two_rotations_at_one_place_are_never_settled():
    left, right = rotated(LOG, BEN), rotated(add_device(LOG, ANN, CY.public), DEE)
    fork = merge_logs(left, right).fork
    assert open_fork(fork.data) == fork
    for log in (
        LOG,
        left,
        right,
        rotated(left, CY, turn=2),
        retire_log(left, RECOVERY),
    ):
        assert fork.stands(log)


def test_retirement_holds_against_a_rotation_and_is_a_lie_beside_it():
    ended, moved = retire_log(LOG, ROTATION[0]), rotated(rotated(LOG, BEN), CY, turn=2)
    merged = merge_logs(ended, moved)
    assert merged.log is ended
    assert merged.fork.stands(moved)


def test_a_proof_shows_the_lie_and_nothing_after_it():
    left, right = add_device(LOG, ANN, BEN.public), add_device(LOG, ANN, CY.public)
    fork = merge_logs(left, right).fork
    longer = add_device(left, BEN, DEE.public)
    assert merge_logs(longer, right).fork == fork
    assert open_fork(encode([1, longer.entries, right.entries])) == fork


@pytest.mark.parametrize(
    "parts",
    [
        *([], [1], [2, LOG.entries, LOG.entries], [1, LOG.entries, LOG.entries]),
        [1, LOG.entries, add_device(LOG, ANN, BEN.public).entries],
        [1, LOG.entries, born(nonce=b"m" * 16).entries],
        [1, rotated(LOG, BEN).entries, add_device(LOG, ANN, BEN.public).entries],
    ],
)
def test_what_proves_nothing_is_no_proof(parts):
    with pytest.raises(RemoteError):
        open_fork(encode(parts))


def signed_again(data: bytes, key: SigningKey, nonce: bytes) -> bytes:
    """The same record under another valid signature, as its signer alone could do."""
    record = open_record(data, NO_NETWORK)
    context = b"\x84\x6aSignature1"
    end = 3 + data[2]
    aad = f"nestmate/1/{record.kind}".encode() + b"\0" + bytes(32)
    message = context + data[1:end] + encode(aad) + data[end + 1 : -66]
    scalar = bindings.crypto_core_ed25519_scalar_reduce(nonce * 2)
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    secret = hashlib.sha512(key._secret[:32]).digest()[:32]
    secret = bytes([secret[0] & 248]) + secret[1:31] + bytes([secret[31] & 127 | 64])
    digest = hashlib.sha512(point + key.public.raw + message).digest()
    challenge = bindings.crypto_core_ed25519_scalar_reduce(digest)
    product = bindings.crypto_core_ed25519_scalar_mul(
        challenge, bindings.crypto_core_ed25519_scalar_reduce(secret + bytes(32))
    )
    total = bindings.crypto_core_ed25519_scalar_add(scalar, product)
    return data[:-64] + point + total


def test_one_entry_under_two_signatures_is_no_lie_and_merges_alike():
    longer = add_device(LOG, ANN, BEN.public)
    twin = open_log([signed_again(LOG.entries[0], ANN, b"q" * 32)])
    assert (twin.ids, twin.entries == LOG.entries) == (LOG.ids, False)
    assert merge_logs(LOG, twin) == merge_logs(twin, LOG)
    assert merge_logs(LOG, twin).fork is None
    assert merge_logs(longer, twin).log == longer
    left, right = add_device(twin, ANN, CY.public), longer
    assert merge_logs(left, right).fork == merge_logs(right, left).fork


def sides(fork: ForkProof) -> tuple[IdentityLog, IdentityLog]:
    return fork.left, fork.right


CHANGES = ("add", "remove", "rotate", "recover", "retire")


def changed(log: IdentityLog, change: str, devices: list[SigningKey]) -> IdentityLog:
    """One more entry by somebody who may write it; LocalError if that is nobody."""
    turn = len(log.established)
    keys = [device.public for device in devices]
    present = [device for device in devices if device.public in log.devices]
    speaker = present[0] if present else DEE
    if change == "add":
        return add_device(log, speaker, keys[-1])
    if change == "remove":
        return remove_device(log, speaker, keys[0])
    if change == "retire":
        return retire_log(log, ROTATION[turn - 1])
    signer = RECOVERY if change == "recover" else ROTATION[turn - 1]
    return rotate_log(log, signer, keys[:2], ROTATION[turn].public)


@st.composite
def histories(draw: st.DrawFn) -> list[IdentityLog]:
    """Some logs of one address, grown from each other by owner, devices and thieves."""
    logs = [LOG]
    for _ in range(draw(st.integers(2, 10))):
        log = draw(st.sampled_from(logs))
        devices = draw(st.permutations(DEVICES))
        with suppress(LocalError):
            logs.append(changed(log, draw(st.sampled_from(CHANGES)), list(devices)))
    return logs


LAWS = settings(max_examples=150)


@LAWS
@given(logs=histories())
def test_merging_gives_the_same_whichever_way_round_and_however_often(logs):
    for one in logs:
        assert merge_logs(one, one) == type(merge_logs(one, one))(one, None)
        for other in logs:
            merged = merge_logs(one, other)
            assert merged == merge_logs(other, one)
            assert merge_logs(merged.log, one).log == merged.log


@LAWS
@given(logs=histories(), data=st.data())
def test_every_node_that_saw_the_same_logs_believes_the_same(logs, data):
    shuffled = data.draw(st.permutations(logs))
    beliefs = [
        reduce(lambda held, log: merge_logs(held, log).log, order)
        for order in (logs, shuffled)
    ]
    assert beliefs[0] == beliefs[1]
    assert open_log(beliefs[0].entries) == beliefs[0]


@LAWS
@given(logs=histories())
def test_a_proof_proves_itself_and_stands_until_a_rotation_settles_it(logs):
    for one, other in product(logs, repeat=2):
        fork = merge_logs(one, other).fork
        if fork is None:
            continue
        ends = [side.established[-1] == side.position for side in sides(fork)]
        assert ends[0] == ends[1]
        assert open_fork(fork.data) == fork
        held = merge_logs(one, other).log
        assert fork.stands(held)
        with suppress(LocalError):
            healed = changed(held, "recover", list(DEVICES))
            assert fork.stands(healed) is all(ends)


@LAWS
@given(logs=histories())
def test_without_a_proof_one_log_continues_or_overrules_the_other(logs):
    for one, other in product(logs, repeat=2):
        merged = merge_logs(one, other)
        lesser = other if merged.log is one else one
        place = [a == b for a, b in zip(one.ids, other.ids, strict=False)].count(True)
        overruled = [each for each in lesser.established if each >= place]
        assert merged.fork or not overruled


@given(
    entries=st.lists(st.binary(max_size=200), max_size=4),
    data=st.binary(max_size=300),
)
def test_arbitrary_bytes_are_neither_log_nor_proof(entries, data):
    assert fault_of(entries) is not None
    with pytest.raises(RemoteError):
        open_fork(data)


@given(place=st.integers(0, 5_000), byte=st.integers(0, 255))
def test_a_mutated_log_is_refused_or_the_very_same(place, byte):
    log = add_device(rotated(LOG, BEN), BEN, CY.public)
    entries = [bytearray(each) for each in log.entries]
    changed = entries[place % 3]
    changed[place // 3 % len(changed)] = byte
    mutant = [bytes(each) for each in entries]
    assert fault_of(mutant) is not None or mutant == list(log.entries)
