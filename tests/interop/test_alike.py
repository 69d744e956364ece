"""Two implementations take and refuse the same: each field of each kind, bent.

Every golden record is taken apart, bent in one place at a time, signed again by its
own key, and judged by us and by the JavaScript made from ``docs/spec`` alone. Where the
two disagree, a page, our code or that program is wrong. Only ``scripts/interop``
collects this file. It cares for verdicts, not for reasons.
"""

import json
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from nestmate_protocol.codec import decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.friends.invites import PREFIX, open_invite
from nestmate_protocol.identity.cards import open_card, open_presence
from nestmate_protocol.identity.log import open_log
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import open_record
from nestmate_protocol.signals import claims, records, results, testimony

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
PROGRAM_SECONDS_MAX = 300
SHOWN_MAX = 40
MISSING = object()
HARMLESS = "/ip4/192.0.2.9/tcp/9"
NUMBERS = (0, 1, -1, 2, 127, 128, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64)
TEXTS = (
    *("", "a", " a", "a ", "a  b", "a\nb", "a\u200bb", "ä", "a\u00a0b", HARMLESS),
    *("x" * 64, "x" * 65, "x" * 257, "\U0001f600" * 33, "/" + "x" * 255),
    *("/" + "x" * 256, "/\n"),
)
OCTETS = (b"", b"\0", bytes(16), bytes(32), bytes(33))
POOL = (
    *(None, True, False, *NUMBERS, *TEXTS, *OCTETS, [], {}, [[]], [bytes(32)]),
    *([HARMLESS], {0: bytes(32)}, [[bytes(32), [HARMLESS]]], [["sing"]]),
)
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
}
LOG_KINDS = ("inception", "rotate", "device", "retire")
VALID_UNTIL = {"card": 7, "presence": 5}


def bent(value: object) -> Iterator[object]:
    """A value bent in one place, in every way there is."""
    yield MISSING
    yield from POOL
    if isinstance(value, list):
        yield [*value, *value[-1:]]
        yield [*value, 0]
        yield value[:-1]
        yield value[::-1]
        yield value * 70
        yield dict(enumerate(value))
        for place, each in enumerate(value):
            for other in bent(each):
                if other is not MISSING:
                    yield [*value[:place], other, *value[place + 1 :]]


def variations(body: dict[int, object]) -> Iterator[tuple[str, dict[int, object]]]:
    """Each field of a body bent, and one nobody knows."""
    yield "as it is", body
    yield "a field more", body | {99: [1]}
    yield "a field with a name", body | {"x": 1}
    for number, value in body.items():
        for count, other in enumerate(bent(value)):
            rest = {key: each for key, each in body.items() if key != number}
            what = "missing" if other is MISSING else repr(other)[:60]
            changed = rest if other is MISSING else rest | {number: other}
            yield f"field {number}, {count}: {what}", changed


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


def signed(kind: str, key: SigningKey, network: bytes, parts: tuple) -> bytes:
    """A record of any header, open header and body, with a true signature."""
    header, unprotected, body = parts
    within = bytes(32) if kind in LOG_KINDS else network
    external = f"nestmate/1/{kind}".encode() + b"\0" + within
    protected, payload = encode(header), encode(body)
    message = encode(["Signature1", protected, external, payload])
    return encode([protected, unprotected, payload, key.sign(message)])


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


def line_of(data: bytes) -> str:
    return PREFIX + urlsafe_b64encode(data).decode().rstrip("=")


def their_verdicts(cases: list[dict]) -> list[dict]:
    done = subprocess.run(
        ["node", "js/judge.mjs"],
        cwd=HERE,
        input="".join(json.dumps(case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def golden() -> dict[str, dict]:
    """Every golden record by the name of its file."""
    files = {path.stem: json.loads(path.read_text()) for path in VECTORS.glob("*.json")}
    return {name: each for name, each in sorted(files.items()) if "hex" in each}


def test_both_sides_take_and_refuse_the_same_records(golden, judged):
    cases = [case for vector in golden.values() for case in cases_of(vector)]
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
