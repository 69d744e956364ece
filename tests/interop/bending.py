"""Records bent in every way there is, and what the JavaScript makes of them.

Knows no kind and no page: a body is taken apart, changed in one place and signed again,
and ``js/judge.mjs`` is asked about each.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from nestmate_protocol.codec import encode
from nestmate_protocol.keys import SigningKey

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
PROGRAM_SECONDS_MAX = 300
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
LOG_KINDS = ("inception", "rotate", "device", "retire")


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
    if isinstance(value, dict):
        yield value | {99: 0}
        for key, each in value.items():
            for other in bent(each):
                rest = {k: v for k, v in value.items() if k != key}
                yield rest if other is MISSING else rest | {key: other}


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


def signed(kind: str, key: SigningKey, network: bytes, parts: tuple) -> bytes:
    """A record of any header, open header and body, with a true signature."""
    header, unprotected, body = parts
    within = bytes(32) if kind in LOG_KINDS else network
    external = f"nestmate/1/{kind}".encode() + b"\0" + within
    protected, payload = encode(header), encode(body)
    message = encode(["Signature1", protected, external, payload])
    return encode([protected, unprotected, payload, key.sign(message)])


def their_verdicts(cases: Iterable[dict]) -> list[dict]:
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


def golden_records() -> dict[str, dict]:
    """Every golden record by the name of its file."""
    files = {path.stem: json.loads(path.read_text()) for path in VECTORS.glob("*.json")}
    return {name: each for name, each in sorted(files.items()) if "hex" in each}
