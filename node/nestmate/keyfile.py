"""An identity on disk: the device key, sealed or plain, and the identity log.

``device.key`` is 0600 in a 0700 folder and may be sealed with a passphrase;
``log.cbor`` is public. Whatever is missing, too open, damaged or foreign is refused
and left untouched; every change is whole or not there, across both files. The
recovery phrase is handed out once and never written. This file knows nothing of
nodes, and takes its entropy from its caller.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nestmate.errors import DeniedError, HomeError, UsageError
from nestmate.files import (
    is_private,
    make_private_folder,
    mode_text,
    sync_folder,
    write_whole,
)
from nestmate_protocol import codec
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.identity.log import (
    IdentityLog,
    begin_log,
    read_log,
    retire_log,
    rotate_log,
)
from nestmate_protocol.ids import Address, DeviceKey, PeerId
from nestmate_protocol.keys import (
    SigningKey,
    host_peer,
    host_seed,
    open_secret,
    recovery_key,
    rotation_key,
    seal_secret,
)
from nestmate_protocol.limits import LOG_BYTES_MAX, LOG_ENTRIES_MAX

Entropy = Callable[[int], bytes]

RECOVERY_WORDS: Final = 24
KEY_FILE: Final = "device.key"
NEXT_KEY_FILE: Final = "device.key.next"
LOG_FILE: Final = "log.cbor"

_MAGIC: Final = b"nestmate device key\n"
_VERSION: Final = 1
_SEED_BYTES: Final = 32
_CHECK_BYTES: Final = 8
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 24
_LOG_NONCE_BYTES: Final = 16
_KEY_FILE_BYTES_MAX: Final = 4_096
_LOG_FILE_BYTES_MAX: Final = LOG_BYTES_MAX + 4 * LOG_ENTRIES_MAX


@dataclass(frozen=True, slots=True)
class _KeyFile:
    """What ``device.key`` says: whose secret it is, and the secret as it lies there."""

    public: DeviceKey
    sealed: bool
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """Who this node is: the 32-byte seed of its device key, and its identity log."""

    seed: bytes = field(repr=False)
    log: IdentityLog

    @property
    def key(self) -> SigningKey:
        """The device key that signs this node's records."""
        return SigningKey(self.seed)

    @property
    def address(self) -> Address:
        """The agent's address."""
        return self.log.address

    @property
    def host_seed(self) -> bytes:
        """The seed of the network's host key, derived from the device seed."""
        return host_seed(self.seed)

    @property
    def peer(self) -> PeerId:
        """The peer id that follows from the host key."""
        return host_peer(self.seed)


def create_identity(
    directory: Path, *, passphrase: str | None = None, entropy: Entropy = os.urandom
) -> tuple[LocalIdentity, tuple[str, ...]]:
    """A new identity in an empty folder, and its recovery phrase of 24 words.

    The words are not kept anywhere. Raises HomeError if an identity is there already,
    OSError when the disk refuses.
    """
    if directory.is_dir() and any(directory.iterdir()):
        raise HomeError(
            f"{directory} is not empty and is left untouched.",
            "An identity is made once; use the one that is there.",
        )
    make_private_folder(directory)
    seed, recovery_seed = entropy(_SEED_BYTES), entropy(_SEED_BYTES)
    log = begin_log(
        SigningKey(seed),
        rotation_key(recovery_seed, 1).public,
        recovery_key(recovery_seed).public,
        entropy(_LOG_NONCE_BYTES),
    )
    write_whole(directory / KEY_FILE, _key_bytes(seed, passphrase, entropy))
    write_whole(directory / LOG_FILE, _log_bytes(log))
    return LocalIdentity(seed, log), _words_of(recovery_seed)


def load_identity(directory: Path, *, passphrase: str | None = None) -> LocalIdentity:
    """The identity in a folder; finishes a rotation that a crash interrupted.

    Raises HomeError for anything missing, too open, damaged or foreign, DeniedError
    for a passphrase that is missing or wrong.
    """
    log = load_log(directory)
    _finish_rotation(directory, log)
    stored = _read_key_file(directory / KEY_FILE)
    if stored.public not in log.last_devices:
        raise HomeError(
            f"The key in {directory} does not belong to the identity log beside it.",
            "Restore both from one backup, or give this device a new key with "
            "`nestmate key rotate` and the recovery phrase.",
        )
    return LocalIdentity(_seed_of(directory / KEY_FILE, stored, passphrase), log)


def load_log(directory: Path) -> IdentityLog:
    """The identity log in a folder; needs no passphrase."""
    if not directory.is_dir():
        raise HomeError(
            f"There is no identity in {directory}.",
            "Restore it from a backup; without it this agent cannot be itself.",
        )
    status = directory.stat()
    if not is_private(status):
        raise HomeError(
            f"Others could get at the keys in {directory} ({mode_text(status)}).",
            f"Close it with: chmod 700 {directory}",
        )
    data = _read(directory / LOG_FILE, _LOG_FILE_BYTES_MAX)
    try:
        entries = codec.decode(data, bytes_max=_LOG_FILE_BYTES_MAX)
        if not isinstance(entries, list):
            raise _damaged(directory / LOG_FILE)
        return read_log(entries)
    except RemoteError as error:
        raise _damaged(directory / LOG_FILE) from error


def is_sealed(directory: Path) -> bool:
    """Whether the device key wants a passphrase; HomeError if it is unusable."""
    return _read_key_file(directory / KEY_FILE).sealed


def save_log(directory: Path, log: IdentityLog) -> None:
    """Replace the identity log by one of the same agent that overrules it.

    Raises HomeError for the log of another agent or a lesser one, OSError when the
    disk refuses.
    """
    kept = load_log(directory)
    if kept.address != log.address or log.rank < kept.rank:
        raise HomeError(f"{directory / LOG_FILE} is not replaced by a lesser log.")
    write_whole(directory / LOG_FILE, _log_bytes(log))


def rotate_identity(
    directory: Path,
    words: Sequence[str],
    *,
    passphrase: str | None = None,
    entropy: Entropy = os.urandom,
) -> LocalIdentity:
    """Replace all device keys of the identity by one new key of this device.

    Needs the recovery phrase, not the old key, which may be lost or stolen; no node
    may be running on it. ``passphrase`` seals the new key. Raises UsageError for words
    that are no phrase, DeniedError for the phrase of another identity, HomeError for
    an unusable folder.
    """
    log = load_log(directory)
    if passphrase is None and _was_sealed(directory):
        raise DeniedError(
            f"The key in {directory} is sealed, so the new one must be too.",
            "Give a passphrase with --passphrase-file; it may be a new one.",
        )
    recovery_seed = seed_of_words(words)
    number = _rotation_number(log, recovery_seed)
    seed = entropy(_SEED_BYTES)
    try:
        log = rotate_log(
            log,
            rotation_key(recovery_seed, number),
            (SigningKey(seed).public,),
            rotation_key(recovery_seed, number + 1).public,
        )
    except LocalError as error:
        raise HomeError(str(error), error.hint) from error
    # The order matters: the new key waits beside the old one until the log names it,
    # so that a crash at any point leaves a key and a log that belong together.
    write_whole(directory / NEXT_KEY_FILE, _key_bytes(seed, passphrase, entropy))
    write_whole(directory / LOG_FILE, _log_bytes(log))
    _finish_rotation(directory, log)
    return LocalIdentity(seed, log)


def retire_identity(directory: Path, words: Sequence[str]) -> IdentityLog:
    """End the identity for good; the log that says so is for the network to hear.

    Raises as ``rotate_identity`` does.
    """
    log = load_log(directory)
    recovery_seed = seed_of_words(words)
    number = _rotation_number(log, recovery_seed)
    try:
        log = retire_log(log, rotation_key(recovery_seed, number))
    except LocalError as error:
        raise HomeError(str(error), error.hint) from error
    write_whole(directory / LOG_FILE, _log_bytes(log))
    return log


def seed_of_words(words: Sequence[str]) -> bytes:
    """The recovery seed a phrase of 24 words stands for (BIP 39, English list).

    Raises UsageError that names the first thing wrong with it.
    """
    from mnemonic import Mnemonic  # noqa: PLC0415 - only rotation needs the word list

    spoken = Mnemonic("english")
    words = [word.strip().lower() for word in words]
    if len(words) != RECOVERY_WORDS:
        raise UsageError(
            f"A recovery phrase has {RECOVERY_WORDS} words, not {len(words)}."
        )
    for place, word in enumerate(words, start=1):
        if word not in spoken.wordlist:
            raise UsageError(
                f"Word {place} of the recovery phrase is not on the list.",
                "Every word is plain English, from three to eight letters.",
            )
    try:
        return bytes(spoken.to_entropy(words))
    except ValueError as error:
        raise UsageError(
            "A word of the recovery phrase is mistyped or out of order.",
            "Compare it with what you wrote down, word by word.",
        ) from error


def _words_of(recovery_seed: bytes) -> tuple[str, ...]:
    from mnemonic import Mnemonic  # noqa: PLC0415 - only creation needs the word list

    return tuple(Mnemonic("english").to_mnemonic(recovery_seed).split())


def _was_sealed(directory: Path) -> bool:
    try:
        return is_sealed(directory)
    except HomeError:
        return False  # a lost or damaged key is what rotation is for


def _rotation_number(log: IdentityLog, recovery_seed: bytes) -> int:
    """Which of the phrase's rotation keys the log is waiting for."""
    for number in range(1, LOG_ENTRIES_MAX + 1):
        public = rotation_key(recovery_seed, number).public
        if hashlib.sha256(public.raw).digest() == log.next_rotation:
            return number
    raise DeniedError(
        f"This recovery phrase belongs to another identity than {log.address.short}.",
        "Look for the words that were shown when this identity was made.",
    )


def _finish_rotation(directory: Path, log: IdentityLog) -> None:
    """Put a waiting key in its place if the log names it already."""
    waiting = directory / NEXT_KEY_FILE
    if not waiting.exists() or _read_key_file(waiting).public not in log.last_devices:
        return
    old = directory / KEY_FILE
    try:
        descriptor = os.open(old, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = -1
    waiting.replace(old)
    sync_folder(directory)
    if descriptor >= 0:
        # The name is gone; overwrite the bytes too, as far as the disk allows it.
        with os.fdopen(descriptor, "wb") as forgotten:
            forgotten.write(bytes(_KEY_FILE_BYTES_MAX))
            forgotten.flush()
            os.fsync(forgotten.fileno())


def _key_bytes(seed: bytes, passphrase: str | None, entropy: Entropy) -> bytes:
    secret = seed
    if passphrase is not None:
        salt, nonce = entropy(_SALT_BYTES), entropy(_NONCE_BYTES)
        secret = seal_secret(seed, passphrase, salt, nonce)
    public = SigningKey(seed).public.raw
    sealed = passphrase is not None
    body = codec.encode({0: _VERSION, 1: public, 2: sealed, 3: secret})
    return _MAGIC + hashlib.sha256(body).digest()[:_CHECK_BYTES] + body


def _read_key_file(path: Path) -> _KeyFile:
    data = _read(path, _KEY_FILE_BYTES_MAX, secret=True)
    start = len(_MAGIC) + _CHECK_BYTES
    check, body = data[len(_MAGIC) : start], data[start:]
    if not data.startswith(_MAGIC):
        raise _damaged(path)
    if hashlib.sha256(body).digest()[:_CHECK_BYTES] != check:
        raise _damaged(path)
    try:
        fields = codec.Fields(codec.decode(body))
        if fields.integer(0, 0, 255) > _VERSION:
            raise HomeError(
                f"{path} was written by a newer Nestmate.",
                "Update Nestmate on this machine.",
            )
        return _KeyFile(
            public=fields.identifier(1, DeviceKey),
            sealed=fields.boolean(2),
            secret=fields.octets(3, _SEED_BYTES, _KEY_FILE_BYTES_MAX),
        )
    except RemoteError as error:
        raise _damaged(path) from error


def _seed_of(path: Path, stored: _KeyFile, passphrase: str | None) -> bytes:
    seed = stored.secret
    if stored.sealed:
        if passphrase is None:
            raise DeniedError(
                f"{path} is sealed with a passphrase.",
                "Give it with --passphrase-file.",
            )
        try:
            seed = open_secret(stored.secret, passphrase)
        except LocalError as error:
            raise DeniedError(f"{path} stays closed: {error}", error.hint) from error
    if len(seed) != _SEED_BYTES or SigningKey(seed).public != stored.public:
        raise _damaged(path)
    return seed


def _log_bytes(log: IdentityLog) -> bytes:
    return codec.encode(list(log.entries))


def _read(path: Path, bytes_max: int, *, secret: bool = False) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise HomeError(
            f"{path} cannot be opened: {error.strerror}.",
            "Restore the identity folder from a backup, or give this device a new key "
            "with `nestmate key rotate` and the recovery phrase.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if secret and not is_private(status):
            raise HomeError(
                f"{path} is open to others or belongs to one ({mode_text(status)}).",
                f"If nobody read it, close it with: chmod 600 {path}",
            )
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise _damaged(path)
    return data


def _damaged(path: Path) -> HomeError:
    return HomeError(
        f"{path} is damaged or not a file of ours; it is left untouched.",
        "Restore the identity folder from a backup.",
    )
