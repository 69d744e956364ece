"""Identities on disk: made, loaded, sealed, rotated, retired, refused.

Knows nothing of homes and nodes.
"""

import os

import pytest

from nestmate import keyfile
from nestmate.errors import DeniedError, HomeError, UsageError
from nestmate.keyfile import (
    create_identity,
    is_sealed,
    load_identity,
    load_log,
    retire_identity,
    rotate_identity,
    save_log,
    seed_of_words,
)
from nestmate_protocol.identity.log import add_device
from nestmate_protocol.keys import SigningKey

PHRASE = "correct horse battery staple"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "identity"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- made and loaded ---


def test_a_new_identity_is_the_same_when_loaded(folder):
    made, words = create_identity(folder)
    loaded = load_identity(folder)
    assert loaded == made
    assert loaded.key.public in loaded.log.devices
    assert loaded.peer == made.peer
    assert len(words) == 24
    assert made.seed.hex() not in repr(made)


def test_only_the_owner_can_read_the_key(folder):
    create_identity(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "device.key").stat().st_mode & 0o777 == 0o600


def test_an_identity_is_never_overwritten(folder):
    create_identity(folder)
    before = files(folder)
    with pytest.raises(HomeError, match="not empty"):
        create_identity(folder)
    assert files(folder) == before


def test_the_same_entropy_makes_the_same_identity(tmp_path):
    made = [
        create_identity(tmp_path / name, entropy=lambda size: b"e" * size)
        for name in "ab"
    ]
    assert made[0] == made[1]


def test_a_sealed_key_opens_with_its_passphrase_only(folder):
    made, _ = create_identity(folder, passphrase=PHRASE)
    assert is_sealed(folder)
    assert made.seed not in (folder / "device.key").read_bytes()
    assert load_identity(folder, passphrase=PHRASE) == made
    with pytest.raises(DeniedError, match="sealed") as refusal:
        load_identity(folder)
    assert "--passphrase-file" in refusal.value.hint
    with pytest.raises(DeniedError, match="stays closed"):
        load_identity(folder, passphrase="wrong")


def test_a_passphrase_does_no_harm_to_a_plain_key(folder):
    made, _ = create_identity(folder)
    assert not is_sealed(folder)
    assert load_identity(folder, passphrase=PHRASE) == made


# --- refused ---


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o777])
def test_a_key_that_is_open_to_others_is_refused_and_left_so(folder, mode):
    create_identity(folder)
    (folder / "device.key").chmod(mode)
    with pytest.raises(HomeError, match="open to others") as refusal:
        load_identity(folder)
    assert refusal.value.hint.endswith(f"chmod 600 {folder / 'device.key'}")
    assert (folder / "device.key").stat().st_mode & 0o777 == mode


def test_a_folder_others_could_enter_is_refused(folder):
    create_identity(folder)
    folder.chmod(0o750)
    with pytest.raises(HomeError) as refusal:
        load_identity(folder)
    assert refusal.value.hint == f"Close it with: chmod 700 {folder}"


@pytest.mark.parametrize("name", ["device.key", "log.cbor"])
def test_a_missing_file_is_refused(folder, name):
    create_identity(folder)
    (folder / name).unlink()
    with pytest.raises(HomeError, match=f"{name} cannot be opened: No such file"):
        load_identity(folder)
    with pytest.raises(HomeError, match="no identity"):
        load_identity(folder / "none")


@pytest.mark.parametrize("name", ["device.key", "log.cbor"])
@pytest.mark.parametrize("passphrase", [None, PHRASE])
def test_a_flipped_bit_anywhere_is_refused_and_left_untouched(folder, name, passphrase):
    create_identity(folder, passphrase=passphrase)
    path = folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        before = files(folder)
        with pytest.raises((HomeError, DeniedError)):
            load_identity(folder, passphrase=passphrase)
        assert files(folder) == before


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"nestmate device key\n", b"x" * 20_000]
)
def test_files_of_another_making_are_refused(folder, data):
    create_identity(folder)
    for name in ("device.key", "log.cbor"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(data)
        with pytest.raises(HomeError, match="damaged or not a file of ours"):
            load_identity(folder)
        (folder / name).write_bytes(whole)


def test_a_key_that_is_a_link_is_refused(folder, tmp_path):
    create_identity(folder)
    (folder / "device.key").rename(tmp_path / "elsewhere")
    (folder / "device.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="cannot be opened"):
        load_identity(folder)


def test_the_key_of_another_identity_is_refused(folder, tmp_path):
    create_identity(folder)
    create_identity(tmp_path / "other")
    (tmp_path / "other" / "device.key").replace(folder / "device.key")
    with pytest.raises(HomeError, match="does not belong"):
        load_identity(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(folder):
    create_identity(folder)
    os.chown(folder / "device.key", 12_345, 12_345)
    with pytest.raises(HomeError, match="belongs to one"):
        load_identity(folder)


# --- the recovery phrase ---


def test_the_phrase_may_be_typed_with_capitals_and_spaces(folder):
    _, words = create_identity(folder)
    assert seed_of_words([f" {word.upper()}" for word in words]) == seed_of_words(words)


def test_a_mistyped_phrase_is_refused_by_what_is_wrong_with_it(folder):
    _, words = create_identity(folder, entropy=bytes)
    for wrong, sentence in (
        (words[:23], "24 words, not 23"),
        ((*words[:5], "nestmate", *words[6:]), "Word 6 "),
        ((*words[:23], "abandon"), "mistyped or out of order"),
    ):
        with pytest.raises(UsageError, match=sentence):
            rotate_identity(folder, wrong)


def test_the_phrase_of_another_identity_is_refused(folder, tmp_path):
    create_identity(folder)
    _, words = create_identity(tmp_path / "other")
    before = files(folder)
    for act in (rotate_identity, retire_identity):
        with pytest.raises(DeniedError, match="another identity"):
            act(folder, words)
    assert files(folder) == before


def test_rotation_replaces_the_key_and_keeps_the_address(folder):
    old, words = create_identity(folder)
    for _ in range(3):
        new = rotate_identity(folder, words)
        assert load_identity(folder) == new
        assert new.address == old.address
        assert new.log.devices == {new.key.public}
        assert old.key.public not in new.log.devices
        assert old.seed not in b"".join(files(folder).values())
        old = new
    assert sorted(files(folder)) == ["device.key", "log.cbor"]


def test_rotation_needs_no_old_key(folder):
    old, words = create_identity(folder, passphrase=PHRASE)
    (folder / "device.key").unlink()
    new = rotate_identity(folder, words)
    assert load_identity(folder) == new
    assert new.address == old.address


def test_a_sealed_identity_stays_sealed(folder):
    _, words = create_identity(folder, passphrase=PHRASE)
    with pytest.raises(DeniedError, match="must be too"):
        rotate_identity(folder, words)
    new = rotate_identity(folder, words, passphrase="a new one")
    assert load_identity(folder, passphrase="a new one") == new


def cut_off_after(steps, monkeypatch):
    """The process dies at the step on the disk that comes after so many."""
    left = iter(range(steps))

    def dying(act):
        def acting(*arguments):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return act(*arguments)

        return acting

    for name in ("write_whole", "sync_folder"):
        monkeypatch.setattr(keyfile, name, dying(getattr(keyfile, name)))


@pytest.mark.parametrize("steps", range(3))
def test_a_rotation_cut_off_anywhere_leaves_an_identity_that_loads(
    folder, monkeypatch, steps
):
    old, words = create_identity(folder)
    with monkeypatch.context() as dying:
        cut_off_after(steps, dying)
        with pytest.raises(KeyboardInterrupt):
            rotate_identity(folder, words)
    left = load_identity(folder)
    assert left.address == old.address
    assert (left.key.public == old.key.public) is (steps < 2)
    assert not (folder / "device.key.next").exists() or steps == 1
    assert load_identity(folder) == left
    assert load_identity(folder) != rotate_identity(folder, words)


def test_a_retired_identity_says_so_for_ever(folder):
    made, words = create_identity(folder)
    assert retire_identity(folder, words).retired
    assert load_log(folder).retired
    assert load_identity(folder).address == made.address
    with pytest.raises(HomeError, match="retired"):
        rotate_identity(folder, words)


# --- a log from elsewhere ---


def test_a_log_that_grew_elsewhere_is_kept_and_a_lesser_one_is_not(folder, tmp_path):
    made, _ = create_identity(folder)
    grown = add_device(made.log, made.key, SigningKey(b"s" * 32).public)
    save_log(folder, grown)
    assert load_identity(folder).log == grown
    other, _ = create_identity(tmp_path / "other")
    for lesser in (made.log, other.log):
        with pytest.raises(HomeError, match="lesser"):
            save_log(folder, lesser)
    assert load_log(folder) == grown
