"""Keys: sign, verify, derive and seal, each under a domain of its own.

libsodium is the only judge of a signature, because verifiers disagree on hostile
ones. Entropy is handed in, never drawn. This is the only importer of nacl; it knows
nothing of what is signed or sealed.
"""

from hashlib import blake2b
from typing import Final
from unicodedata import normalize

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_box_easy,
    crypto_box_seal_open,
    crypto_box_seed_keypair,
    crypto_pwhash_alg,
    crypto_pwhash_ALG_ARGON2ID13,
    crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE,
    crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
    crypto_secretbox,
    crypto_secretbox_open,
    crypto_sign,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError, CryptoError

from nestmate_protocol.errors import Fault, LocalError, RemoteError
from nestmate_protocol.ids import DeviceKey, PeerId

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 24
SECRET_BYTES: Final = 32
TAG_BYTES: Final = 16
SEALED_BOX_BYTES: Final = 32 + TAG_BYTES
"""How much longer than its content a box sealed to a key is."""

_SEALED: Final = b"nestmate sealed secret 1\n"


class SigningKey:
    """An Ed25519 key pair made from a seed of 32 bytes; never shows its secret half."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise LocalError(f"a key seed takes {SEED_BYTES} bytes, not {len(seed)}")
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.public = DeviceKey(public)

    def __repr__(self) -> str:
        return f"<SigningKey of {self.public!r}>"

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature (RFC 8032) over the message."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def open_box(self, box: bytes) -> bytes:
        """What was sealed to this key by ``seal_to``.

        Raises RemoteError with NOT_ENTITLED if it was sealed to another, or is no box.
        """
        if len(box) < SEALED_BOX_BYTES:
            raise RemoteError(Fault.BAD_FIELD, "box")
        secret = crypto_sign_ed25519_sk_to_curve25519(self._secret)
        public = crypto_sign_ed25519_pk_to_curve25519(self.public.raw)
        try:
            return crypto_box_seal_open(box, public, secret)
        except CryptoError:
            raise RemoteError(Fault.NOT_ENTITLED, "box") from None


def verify(key: DeviceKey, message: bytes, signature: bytes) -> None:
    """Come back only if libsodium takes the signature.

    Raises RemoteError with BAD_SIGNATURE otherwise.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise RemoteError(Fault.BAD_SIGNATURE)
    try:
        crypto_sign_open(signature + message, key.raw)
    except BadSignatureError:
        raise RemoteError(Fault.BAD_SIGNATURE) from None


def seal_to(key: DeviceKey, content: bytes, seed: bytes) -> bytes:
    """A box that only the holder of a signing key opens, with ``open_box``.

    It is libsodium's sealed box to the X25519 form of the key; ``seed`` is 32 fresh
    random bytes. Raises RemoteError with BAD_FIELD for bytes that are no key.
    """
    if len(seed) != SEED_BYTES:
        raise LocalError(f"a key seed takes {SEED_BYTES} bytes, not {len(seed)}")
    try:
        reader = crypto_sign_ed25519_pk_to_curve25519(key.raw)
    except CryptoError:
        raise RemoteError(Fault.BAD_FIELD, "key") from None
    public, secret = crypto_box_seed_keypair(seed)
    nonce = blake2b(public + reader, digest_size=NONCE_BYTES).digest()
    return public + crypto_box_easy(content, nonce, reader, secret)


def seal(secret: bytes, content: bytes, nonce: bytes, context: bytes) -> bytes:
    """The nonce and the content as XChaCha20-Poly1305 seals it, bound to a context.

    ``nonce`` is 24 fresh random bytes.
    """
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(
        content, context, nonce, secret
    )


def unseal(secret: bytes, sealed: bytes, context: bytes) -> bytes:
    """What ``seal`` sealed; RemoteError with BAD_FIELD if a single bit differs."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise RemoteError(Fault.BAD_FIELD, "sealed")
    nonce, box = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(box, context, nonce, secret)
    except CryptoError:
        raise RemoteError(Fault.BAD_FIELD, "sealed") from None


def derive(seed: bytes, domain: str) -> bytes:
    """32 bytes that follow from a seed and a domain and tell nothing of either.

    BLAKE2b-256 keyed with the seed over the domain's UTF-8.
    """
    if len(seed) != SEED_BYTES:
        raise LocalError(f"a key seed takes {SEED_BYTES} bytes, not {len(seed)}")
    return blake2b(
        domain.encode(), key=seed, digest_size=SEED_BYTES, person=b"nestmate/derive"
    ).digest()


def host_seed(device_seed: bytes) -> bytes:
    """The seed of the host key a node shows to libp2p; it signs no record, ever."""
    return derive(device_seed, "host")


def host_peer(device_seed: bytes) -> PeerId:
    """The peer id that goes with ``host_seed``."""
    return PeerId(SigningKey(host_seed(device_seed)).public.raw)


def rotation_key(recovery_seed: bytes, number: int) -> SigningKey:
    """The key that signs rotation ``number`` (from 1) of an identity log."""
    return SigningKey(derive(recovery_seed, f"rotation/{number}"))


def recovery_key(recovery_seed: bytes) -> SigningKey:
    """The key that may sign any rotation, should their order be lost."""
    return SigningKey(derive(recovery_seed, "recovery"))


def seal_secret(secret: bytes, passphrase: str, salt: bytes, nonce: bytes) -> bytes:
    """A secret as it may lie on disk: argon2id (interactive), then secretbox.

    The same passphrase typed on another keyboard is the same (Unicode NFKD).
    ``salt`` is 16 fresh random bytes, ``nonce`` 24. Takes about 60 ms and 64 MiB.
    """
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise LocalError("sealing takes a salt of 16 bytes and a nonce of 24")
    box = crypto_secretbox(secret, nonce, _stretch(passphrase, salt))
    return _SEALED + salt + nonce + box


def open_secret(sealed: bytes, passphrase: str) -> bytes:
    """The secret that was sealed.

    Raises LocalError for a wrong passphrase, or if a single bit was changed.
    """
    body = sealed.removeprefix(_SEALED)
    if body == sealed or len(body) < SALT_BYTES + NONCE_BYTES:
        raise LocalError("this is not a sealed secret", "look for a backup of the file")
    salt, rest = body[:SALT_BYTES], body[SALT_BYTES:]
    nonce, box = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    try:
        return crypto_secretbox_open(box, nonce, _stretch(passphrase, salt))
    except (CryptoError, ValueError):
        raise LocalError(
            "the passphrase is wrong or the file is damaged", "try the passphrase again"
        ) from None


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return crypto_pwhash_alg(
        SEED_BYTES,
        normalize("NFKD", passphrase).encode("utf-8", "surrogatepass"),
        salt,
        crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
        crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE,
        crypto_pwhash_ALG_ARGON2ID13,
    )
