"""Two implementations make the same of spaces: of an op, of a set of ops, of a frame.

Each golden op is bent in its header, its skeleton, its values and its wire, and signed
again; whole histories full of lies are told to both; each frame of sync and each byte
of a message of ranges is bent; and lanes are reconciled, ours with the JavaScript made
from ``docs/spec`` alone. Only ``scripts/interop`` collects this file.
"""

import json
import random
import subprocess
from collections.abc import Iterator
from hashlib import blake2b, sha256
from typing import Any

import pytest

from nestmate_protocol.blobs import frames as blobs
from nestmate_protocol.codec import decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.simulation.histories import history
from nestmate_protocol.simulation.scribes import NETWORK
from nestmate_protocol.spaces import auth, keyring
from nestmate_protocol.spaces.founding import read_genesis
from nestmate_protocol.spaces.ops import NO_SPACE, Mutation, Op, Type, open_op
from nestmate_protocol.spaces.ranges import unpack as unpack_ranges
from nestmate_protocol.spaces.reconcile import SHORT_BYTES, All, Exchange
from nestmate_protocol.spaces.state import State, state
from nestmate_protocol.spaces.summary import Summary
from nestmate_protocol.spaces.sync import frames
from nestmate_protocol.spaces.types import well_formed

from .bending import (
    HERE,
    MISSING,
    VECTORS,
    bent,
    golden_records,
    signed,
    their_verdicts,
    variations,
)

SHOWN_MAX = 40
HISTORIES = 40
OP_HEADERS = ("op_genesis", "op_register_next", "op_ephemeral", "private_op")
SECRET = b"\x31" * 16 + b"\x32" * 16
MESSAGES_MAX = 40
LANES = [
    (0, 40, 0, False),
    (0, 0, 3_000, False),
    (90, 7, 9, True),
    (97, 0, 1, False),
    (2_000, 3, 700, True),
    (5_000, 300, 200, False),
]
READS = {
    Type.GRANT: auth.grant_in,
    Type.REVOKE: auth.revocation_in,
    Type.CLOSE: auth.revocation_in,
    Type.ENDORSE: auth.endorsed_in,
    Type.KEYS: keyring.handing_in,
}


# --- ops ---


class Parts:
    """What a golden op is made of, to be put together otherwise."""

    def __init__(self, name: str, vector: dict) -> None:
        inputs = vector["inputs"]
        self.name = name
        self.sealed = name.startswith("private_")
        self.key = SigningKey(bytes.fromhex(inputs["seed"]))
        self.network = bytes.fromhex(inputs["network"])
        self.body = decode(decode(bytes.fromhex(vector["hex"]))[2])
        self.skeleton = bytes.fromhex(inputs["skeleton"])
        self.values = [each and bytes.fromhex(each) for each in inputs["values"]]

    def case(self, what: str, data: bytes) -> dict:
        network = self.network.hex()
        return {
            "what": f"{self.name}, {what}",
            "as": "op",
            "data": data.hex(),
            "network": network,
            "sealed": self.sealed,
        }

    def op(self, body: object, skeleton: bytes, values: object) -> bytes:
        header = {1: -8, 4: self.key.public.raw, 16: "nestmate/op"}
        record = signed("op", self.key, self.network, (header, {}, body))
        return encode([record, skeleton, values])

    def over(self, rows: object, values: object) -> bytes:
        """The op with another skeleton, which its header names."""
        skeleton = encode(rows)
        digest = sha256(skeleton).digest()
        return self.op(self.body | {8: digest}, skeleton, values)


def headers_of(parts: Parts) -> Iterator[dict]:
    for what, body in variations(parts.body):
        data = attempt(parts.op, body, parts.skeleton, parts.values)
        yield from [parts.case(f"header, {what}", data)] if data else []


def skeletons_of(parts: Parts) -> Iterator[dict]:
    rows = decode(parts.skeleton)
    nothing = [None] * len(rows)
    for count, other in enumerate(bent(rows)):
        values = parts.values if count % 2 else nothing
        data = other is not MISSING and attempt(parts.over, other, values)
        what = f"skeleton, {count}: {other!r}"[:200]
        yield from [parts.case(what, data)] if data else []


def wires_of(parts: Parts) -> Iterator[dict]:
    wire = decode(parts.op(parts.body, parts.skeleton, parts.values))
    for count, other in enumerate(bent(wire)):
        data = other is not MISSING and attempt(encode, other)
        yield from [parts.case(f"wire, {count}", data)] if data else []


def attempt(make: Any, *parts: object) -> bytes | None:
    """What is made of these, None if we could not even say it."""
    try:
        made: bytes = make(*parts)
    except LocalError:
        return None
    return made


def is_well_formed(mutation: Mutation) -> bool:
    if mutation.type in READS:
        return READS[mutation.type](mutation) is not None
    if mutation.type is Type.LEAVE:
        return auth.is_leave(mutation)
    return mutation.type is Type.GENESIS or well_formed(mutation)


def our_verdict(case: dict) -> dict:
    """Whether our side takes an op, and which of its mutations are well formed."""
    network = NetworkId(bytes.fromhex(case["network"]))
    try:
        data = bytes.fromhex(case["data"])
        op = open_op(data, network, sealed=case["sealed"])
        if op.place.space == NO_SPACE:
            read_genesis(op)
    except RemoteError:
        return {"ok": False}
    well = [is_well_formed(each) for each in op.mutations or ()]
    return {"ok": True, "well": well}


def differences(cases: list[dict], judge: Any) -> list[str]:
    """Where the two sides say otherwise; the reason is that of theirs."""
    told = []
    for case, theirs in zip(cases, their_verdicts(cases), strict=True):
        why, ours = theirs.pop("why", ""), judge(case)
        if ours != theirs:
            told.append(f"{case['what']}: ours {ours}, theirs {theirs} {why}")
    return told


@pytest.mark.parametrize("bending", [headers_of, skeletons_of, wires_of])
def test_both_sides_take_and_refuse_the_same_ops(bending, judged):
    golden = golden_records()
    names = OP_HEADERS if bending is headers_of else golden
    ops = [
        Parts(name, golden[name]) for name in names if "op" in golden[name]["inputs"]
    ]
    cases = [case for parts in ops for case in bending(parts)]
    judged("the second implementation", f"{len(cases)} ops, {bending.__name__}")
    told = differences(cases, our_verdict)
    assert not told, f"{len(told)} differences\n" + "\n".join(told[:SHOWN_MAX])


# --- whole spaces ---


def shown(found: State) -> dict:
    """What a set of ops comes to for us, as the other side would tell it."""
    entries = [each for some in found.live.values() for each in some]
    latest = [each for some in found.ephemeral.values() for each in some]
    return {
        "ok": True,
        "stand": texts(found.held),
        "pass": texts(found.passing),
        "valid": texts(found.valid),
        "offered": texts(found.offered),
        "live": sorted(each.dot.hex() for each in entries),
        "last": sorted(each.dot.hex() for each in latest),
        "hash": found.hash.hex(),
    }


def texts(ids: Any) -> list[str]:
    return sorted(each.raw.hex() for each in ids)


def case_of(what: str, network: NetworkId, ops: list[Op]) -> dict:
    return {
        "what": what,
        "as": "space",
        "network": network.raw.hex(),
        "ops": [op.data.hex() for op in ops],
    }


def test_both_sides_make_the_same_of_histories_full_of_lies(judged):
    stories = [history(seed) for seed in range(HISTORIES)]
    cases = [case_of(f"seed {each.seed}", NETWORK, list(each.ops)) for each in stories]
    ours = {
        case["what"]: shown(state(each.space, each.by_id()))
        for case, each in zip(cases, stories, strict=True)
    }
    judged("the second implementation", f"{HISTORIES} histories, equal state hashes")
    told = [
        f"{case['what']}: {name} differs"
        for case, theirs in zip(cases, their_verdicts(cases), strict=True)
        for name, each in ours[case["what"]].items()
        if theirs.get(name) != each
    ]
    assert not told, "\n".join(told[:SHOWN_MAX])


# --- frames and messages ---


def frame_cases() -> list[dict]:
    return bent_frames("sync", "frame")


def blob_cases() -> list[dict]:
    return bent_frames("blobs", "blobs")


def bent_frames(file: str, kind: str) -> list[dict]:
    told = json.loads((VECTORS / f"{file}.json").read_text())
    cases = []
    for name, text in told["frames"].items():
        for count, other in enumerate(bent(decode(bytes.fromhex(text)))):
            data = other is not MISSING and attempt(encode, other)
            if data:
                what = f"{name}, {count}: {other!r}"[:200]
                cases.append({"what": what, "as": kind, "data": data.hex()})
    return [case | {"network": ""} for case in cases]


def message_cases() -> list[dict]:
    """Messages of ranges with any one byte another, gone, or there twice."""
    told = json.loads((VECTORS / "sync.json").read_text())["reconciling"]
    whole = [bytes.fromhex(told["four_modes"]), *map(bytes.fromhex, firsts(told))]
    made = []
    for data in whole:
        for at in range(len(data)):
            before, after = data[:at], data[at + 1 :]
            others = {0, 1, 2, 3, 4, 0x7F, 0x80, 0x81, 0xFF, data[at] ^ 1}
            made += [before + bytes((other,)) + after for other in others]
            made += [before, before + after, before + data[at : at + 1] * 2 + after]
    return [
        {"what": data.hex(), "as": "ranges", "data": data.hex(), "network": ""}
        for data in made
    ]


def firsts(told: dict) -> list[str]:
    return [told["first_message"][count] for count in ("0", "3")]


def takes(read: Any) -> Any:
    """A judge that says whether our side reads the bytes of a case."""

    def judge(case: dict) -> dict:
        try:
            read(bytes.fromhex(case["data"]))
        except RemoteError:
            return {"ok": False}
        return {"ok": True}

    return judge


def read_message(data: bytes) -> None:
    list(unpack_ranges(data, SHORT_BYTES))


@pytest.mark.parametrize(
    ("cases", "read"),
    [
        (frame_cases, frames.unpack),
        (message_cases, read_message),
        (blob_cases, blobs.unpack),
    ],
    ids=["frames", "ranges", "blobs"],
)
def test_both_sides_take_and_refuse_the_same_frames(cases, read, judged):
    made = cases()
    judged("the second implementation", f"{len(made)} of {cases.__name__}")
    told = differences(made, takes(read))
    assert not told, f"{len(told)} differences\n" + "\n".join(told[:SHOWN_MAX])


# --- reconciling ---


class Rows:
    """Keys in order, as a store would give them."""

    def __init__(self, keys: set[bytes]) -> None:
        self.keys = sorted(keys)

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        return iter([key for key in self.keys if start <= key < stop])


class Theirs:
    """The other side of one lane, in a process of its own."""

    def __init__(self) -> None:
        command = ["node", "js/exchange.mjs"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=HERE, **pipes)

    def say(self, **said: Any) -> tuple[bytes, set[bytes]]:
        print(json.dumps(said), file=self._process.stdin, flush=True)
        told = json.loads(self._process.stdout.readline())
        return bytes.fromhex(told["message"]), set(map(bytes.fromhex, told["given"]))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(15)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    other = Theirs()
    yield other
    other.close()


def short(key: bytes) -> bytes:
    person = b"nestmate/short".ljust(16, b"\0")
    return blake2b(key[8:], digest_size=SHORT_BYTES, key=SECRET, person=person).digest()


def answered(side: Exchange, keys: set[bytes], message: bytes) -> tuple:
    """Our answer to a message, and what we hand over."""
    side.take(message)
    given: set[bytes] = set()
    while side.is_busy:
        for gift in side.step(64)[0]:
            between = isinstance(gift, All)
            given |= (
                {key for key in keys if gift.low <= key < gift.high}
                if between
                else set(gift.keys)
            )
    return side.answer, given


def made_up(seed: str, count: int, *, alike: bool) -> set[bytes]:
    """Keys at times by chance; ``alike`` puts many of them at one time."""
    chance = random.Random(seed)
    span = 3 if alike else 2**60
    return {
        chance.randrange(span).to_bytes(8) + chance.randbytes(32) for _ in range(count)
    }


def reconciled(theirs: Theirs, other: set, mine: set, *, they_begin: bool) -> tuple:
    """What each side handed over until both fell silent, and the bytes that took."""
    texts_of = [key.hex() for key in other]
    message, _ = theirs.say(keys=texts_of, secret=SECRET.hex(), begin=they_begin)
    side = Exchange(Summary(Rows(mine)), short)
    from_us: set[bytes] = set()
    from_them: set[bytes] = set()
    ours_next, octets = they_begin, 0
    if not they_begin:
        message = side.begin()
    for _ in range(MESSAGES_MAX):
        octets += len(message)
        if not message:
            return from_us, from_them, octets
        if ours_next:
            message, given = answered(side, mine, message)
            from_us |= given
        else:
            message, given = theirs.say(message=message.hex())
            from_them |= given
        ours_next = not ours_next
    raise AssertionError("no end")


@pytest.mark.parametrize("they_begin", [True, False], ids=["they begin", "we begin"])
@pytest.mark.parametrize("case", LANES)
def test_both_sides_of_a_lane_hand_over_exactly_what_the_other_lacks(
    theirs, judged, case, they_begin
):
    both, other, ours, alike = case
    shared = made_up(f"both {both}", both, alike=alike)
    there = shared | made_up(f"theirs {other}", other, alike=alike)
    here = shared | made_up(f"ours {ours}", ours, alike=alike)
    from_us, from_them, octets = reconciled(theirs, there, here, they_begin=they_begin)
    assert from_us == here - there
    assert from_them == there - here
    judged("the second implementation", f"{both} alike, {other + ours} not: {octets} B")
