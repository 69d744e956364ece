"""Grants: whoever holds one can give away less than it has, and never more."""

import pytest

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.grants import (
    ALL_RIGHTS,
    Grant,
    Rights,
    check_grant,
    is_below,
    read_grant,
)
from nestmate_protocol.identity.log import add_device, begin_log, rotate_log
from nestmate_protocol.ids import Address
from nestmate_protocol.keys import SigningKey, recovery_key, rotation_key

READ, WRITE, GRANT = Rights.READ, Rights.WRITE, Rights.GRANT
OLD, NEW, THIRD = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
PHRASE = b"\x09" * 32
LOG = begin_log(
    OLD, rotation_key(PHRASE, 1).public, recovery_key(PHRASE).public, b"n" * 16
)
ROTATED = rotate_log(
    LOG, rotation_key(PHRASE, 1), [NEW.public], rotation_key(PHRASE, 2).public
)
BOB, CID = LOG.address, Address(b"\x07" * 32)


def grant(**other):
    chosen = {"who": BOB, "keys": (OLD.public,), "rights": READ | WRITE | GRANT}
    rest = {"paths": ("tasks", "notes/{self}"), "depth": 2, "generation": 1}
    return Grant(**{**chosen, **rest, **other})


def child(**other):
    chosen = {"who": CID, "keys": (THIRD.public,), "rights": READ | WRITE}
    return Grant(**{**chosen, "paths": ("tasks/7",), "depth": 1, **other})


@pytest.mark.parametrize(
    ("path", "area", "below"),
    [
        ("tasks", "tasks", True),
        ("tasks/7", "tasks", True),
        ("tasksabc", "tasks", False),
        ("task", "tasks", False),
        ("anything", "", True),
    ],
)
def test_a_path_lies_below_an_area_by_whole_segments(path, area, below):
    assert is_below(path, area) is below


def test_a_grant_covers_its_rights_its_paths_and_its_types_and_nothing_else():
    given = grant(types=frozenset({1, 4}))
    assert given.covers(WRITE, "tasks/7", 1)
    assert not given.covers(Rights.RULE, "tasks/7", 1)
    assert not given.covers(WRITE, "other", 1)
    assert not given.covers(WRITE, "tasks/7", 2)


def test_self_stands_for_the_address_it_is_granted_to():
    assert grant().covers(WRITE, f"notes/{BOB.text}/a", 1)
    assert not grant().covers(WRITE, f"notes/{CID.text}", 1)
    assert not grant().covers(WRITE, "notes/{self}", 1)


@pytest.mark.parametrize(
    "more",
    [
        {"rights": READ | Rights.RULE},
        {"paths": ("tasks/7", "notes")},
        {"paths": ("notes/{self}",)},
        {"paths": ("",)},
        {"types": None},
        {"types": frozenset({1, 2})},
        {"expires_ms": 0},
        {"expires_ms": 2_001},
        {"depth": 2},
    ],
)
def test_what_is_handed_on_has_nothing_more(more):
    parent = grant(types=frozenset({1}), expires_ms=2_000)
    less = {"types": frozenset({1}), "expires_ms": 2_000}
    assert parent.lets_issue(child(**less), OLD.public)
    assert not parent.lets_issue(child(**{**less, **more}), OLD.public)


def test_only_a_holder_with_the_right_to_may_hand_a_grant_on():
    assert grant().lets_issue(child(), OLD.public)
    assert not grant().lets_issue(child(), THIRD.public)
    assert not grant(rights=READ | WRITE).lets_issue(child(), OLD.public)
    assert not grant(depth=0).lets_issue(child(depth=0), OLD.public)


def heir(log=ROTATED, **other):
    chosen = {"keys": (NEW.public,), "log": log.entries, "rights": READ}
    return grant(**{**chosen, "generation": 2, **other})


def test_a_rotated_key_takes_over_what_its_address_was_granted():
    assert grant(rights=READ, depth=0).lets_issue(heir(depth=0), NEW.public)
    assert not grant(rights=WRITE).lets_issue(heir(), NEW.public)
    assert not grant(who=CID).lets_issue(heir(), NEW.public)
    assert not grant().lets_issue(heir(), THIRD.public)
    assert not grant().lets_issue(heir(keys=(THIRD.public,)), NEW.public)
    assert not grant(generation=0).lets_issue(heir(), NEW.public)


def test_a_key_that_was_rotated_away_takes_over_nothing():
    given = grant(keys=(NEW.public,), generation=2)
    for log in (LOG, add_device(LOG, OLD, NEW.public)):
        for generation in (1, 2, 3):
            stolen = heir(log, keys=(OLD.public,), generation=generation)
            assert not given.lets_issue(stolen, OLD.public)


def test_a_bearers_self_goes_to_the_address_that_proves_itself():
    invite = grant(who=None, keys=(THIRD.public,), paths=("notes/{self}",))
    joiner = child(who=BOB, keys=(NEW.public,), paths=("notes/{self}",))
    assert not invite.lets_issue(joiner, THIRD.public)
    proven = child(
        who=BOB, keys=(NEW.public,), paths=("notes/{self}",), log=ROTATED.entries
    )
    assert invite.lets_issue(proven, THIRD.public)


def test_a_grant_comes_back_as_it_was_written():
    full = heir(types=frozenset({4, 1}), expires_ms=5, label="Bob")
    for given in (full, child(), child(who=None), child(paths=("",))):
        check_grant(given)
        assert read_grant(decode(encode(given.fields()))) == given


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": ()},
        {"keys": (THIRD.public, THIRD.public)},
        {"paths": ()},
        {"paths": ("a//b",)},
        {"depth": 99},
        {"rights": ALL_RIGHTS + 1},
    ],
)
def test_a_grant_that_no_reader_would_take_is_refused(wrong):
    with pytest.raises(RemoteError):
        read_grant(decode(encode(child(**wrong).fields())))
    with pytest.raises(LocalError):
        check_grant(child(**wrong))


def test_a_person_reads_what_the_grant_says():
    given = grant(types=frozenset({1}), expires_ms=1_800_000_000_000, label="Bob")
    assert given.sentence({1: "registers"}) == (
        f"Bob ({BOB.text}) may read, write and let others in below tasks and "
        f"notes/{BOB.text}, registers only, until 2027-01-15 08:00 UTC, "
        "and pass it on through 2 more hands."
    )
