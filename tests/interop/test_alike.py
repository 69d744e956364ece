"""Two implementations take and refuse the same: each field of each kind, bent.

Every golden record is taken apart, bent in one place at a time, signed again by its
own key, and judged by us and by the JavaScript made from ``docs/spec`` alone. Where the
two disagree, a page, our code or that program is wrong. Only ``scripts/interop``
collects this file. It cares for verdicts, not for reasons.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator

from nestmate_protocol.codec import decode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.friends.invites import PREFIX, open_invite
from nestmate_protocol.identity.cards import open_card, open_presence
from nestmate_protocol.identity.log import open_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import open_record
from nestmate_protocol.signals import claims, records, results, testimony, votes

from .bending import LOG_KINDS, golden_records, signed, their_verdicts, variations

SHOWN_MAX = 40
READERS = {
    "signal": records.Signal,
    "deposit": records.Deposit,
    "claim": claims.Claim,
    "lease": claims.Lease,
    "beat": claims.Beat,
    "done": claims.Done,
    "receipt": claims.Receipt,
    "release": claims.Release,
    "cancel": claims.Cancel,
    "fetch": results.Fetch,
    "result": results.Result,
    "testimony": testimony.Testimony,
    "vote": votes.Vote,
}
VALID_UNTIL = {"card": 7, "presence": 5}


def headers(kind: str, key: SigningKey) -> Iterator[tuple[str, object]]:
    """The protected header of a kind, and ones that should not be taken."""
    right = {1: -8, 4: key.public.raw, 16: f"nestmate/{kind}"}
    yield "right", right
    yield "one more", right | {3: 0}
    yield "one less", {1: -8, 16: f"nestmate/{kind}"}
    yield "another algorithm", right | {1: -7}
    yield "another type", right | {16: f"other/{kind}"}
    yield "an unknown kind", right | {16: "nestmate/song"}
    yield "a longer key", right | {4: key.public.raw + b"\0"}


def cases_of(vector: dict) -> Iterator[dict]:
    """What both sides are asked about one golden record."""
    inputs, kind = vector["inputs"], vector["inputs"]["kind"]
    key = SigningKey(bytes.fromhex(inputs["seed"]))
    network = bytes.fromhex(inputs["network"])
    body = decode(decode(bytes.fromhex(vector["hex"]))[2])
    right = next(headers(kind, key))[1]
    makings = [(what, (right, {}, each)) for what, each in variations(body)]
    makings += [
        (f"header {what}", (each, {}, body)) for what, each in headers(kind, key)
    ]
    makings += [
        ("an open header", (right, {1: -8}, body)),
        ("a list", (right, {}, [1])),
    ]
    for what, parts in makings:
        try:
            data = signed(kind, key, network, parts)
        except LocalError:  # what we could not even say
            continue
        yield {
            "what": what,
            "as": kind,
            "data": data.hex(),
            "network": network.hex(),
            "log": inputs.get("log", []),
            "now": body.get(VALID_UNTIL.get(kind, 0), 0) - 1_000,
        }


def our_verdict(case: dict) -> bool:
    """Whether our side takes a record as one of its kind."""
    kind, data = case["as"], bytes.fromhex(case["data"])
    network = NetworkId(bytes.fromhex(case["network"]))
    try:
        if kind in LOG_KINDS:
            open_log([*map(bytes.fromhex, case["log"]), data])
        elif kind == "card":
            open_card(data, network, case["now"])
        elif kind == "presence":
            open_presence(data, network, case["now"])
        elif kind == "invite":
            open_invite(line_of(data), network)
        else:
            READERS[kind].read(open_record(data, network).fields)
    except (RemoteError, LocalError):
        return False
    return True


def judges(vector: dict) -> bool:
    """Whether a record says all that is to be judged; an op travels with more."""
    return "op" not in vector["inputs"]


def line_of(data: bytes) -> str:
    return PREFIX + urlsafe_b64encode(data).decode().rstrip("=")


def test_both_sides_take_and_refuse_the_same_records(judged):
    golden = golden_records().values()
    cases = [case for each in golden if judges(each) for case in cases_of(each)]
    theirs = their_verdicts(cases)
    taken = sum(each["ok"] for each in theirs)
    judged("@auth0/cose, cbor2, libsodium", f"{taken} of {len(cases)} are records")
    told = [
        f"{case['as']}, {case['what']}: {'taken' if their['ok'] else 'refused'} by"
        f" theirs only ({their.get('why', '')})"
        for case, their in zip(cases, theirs, strict=True)
        if our_verdict(case) is not their["ok"]
    ]
    assert not told, f"{len(told)} differences\n" + "\n".join(told[:SHOWN_MAX])
