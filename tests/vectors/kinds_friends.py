"""Golden vector of the kind by which friends meet: the invite.

It tells the story of ``kinds_identity`` on: the first device of a newborn agent asks
somebody in.
"""

from nestmate_protocol.friends.invites import Terms, make_invite
from nestmate_protocol.identity.log import begin_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey, host_peer, recovery_key, rotation_key
from nestmate_protocol.records import Record, open_record

SEED, RECOVERY = b"\x01" * 32, b"\x04" * 32
NETWORK = NetworkId(b"\x06" * 32)
NONCE, SECRET = b"\x05" * 16, b"\x07" * 16
EXPIRES = 1_800_086_400_000

Vector = tuple[str, dict[str, object], Record]


def invite() -> Vector:
    key = SigningKey(SEED)
    first, second = rotation_key(RECOVERY, 1), recovery_key(RECOVERY)
    log = begin_log(key, first.public, second.public, NONCE)
    terms = Terms(
        issuer=log.address,
        peer=host_peer(SEED),
        multiaddrs=("/ip4/192.0.2.7/tcp/4001",),
        secret=SECRET,
        uses=1,
        expires_ms=EXPIRES,
        network=NETWORK,
        grants=("dinner",),
        called="Ann",
        log=log.entries,
    )
    made = make_invite(key, terms)
    inputs = {
        "seed": SEED,
        "network": NETWORK.raw,
        "address": log.address.text,
        "line": made.text,
    }
    comment = "Ann asks one friend in, for a day; the line is what is pasted."
    return comment, inputs, open_record(made.data, NETWORK)


VECTORS = {"invite": invite}
