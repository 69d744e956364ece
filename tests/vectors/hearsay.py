"""Golden bytes of hearsay: heads, witnesses, what they prove, and what is refused.

Run it to write ``hearsay.json`` anew; then read the diff, because every changed byte
breaks the wire for somebody.
"""

import json
from pathlib import Path

from nestmate_protocol.codec import encode
from nestmate_protocol.ids import Address, NetworkId, TaskId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import sign_record
from nestmate_protocol.signals.chains import Head
from nestmate_protocol.signals.claims import Cancel
from nestmate_protocol.signals.hearsay import head_frame, witness_frame
from nestmate_protocol.signals.records import Deposit, Link

FILE = Path(__file__).parent / "hearsay.json"

SEED = b"\x13" * 32
NETWORK = NetworkId(b"\x06" * 32)
ANN, CID = Address(b"\x21" * 32), Address(b"\x23" * 32)
FIRST, SECOND = b"\x31" * 16, b"\x32" * 16
SEQ = 1_800_000_009


def said(seq, prev, code=32, incarnation=FIRST):
    """Cid needs a task of Ann's, at some place of its chain."""
    link = Link(incarnation, seq, prev, 305)
    deposit = Deposit(ANN, b"letter-7", CID, seq, code, link)
    return sign_record(SigningKey(SEED), NETWORK, deposit.kind, deposit.fields())


def head(record, seq, incarnation=FIRST):
    return Head(record.author.raw, incarnation, seq, record.id.raw)


def shown(why, proves, *pair):
    frame = witness_frame([record.data for record in pair])
    ids = [record.id.raw.hex() for record in pair]
    return {"why": why, "ids": ids, "proves": proves, "hex": frame.hex()}


def heads():
    one = head(said(SEQ, b"\x44" * 32), SEQ)
    two = head(said(5, None, incarnation=SECOND), 5, SECOND)
    plain = [[p.hex() if isinstance(p, bytes) else p for p in h] for h in (one, two)]
    return {"heads": plain, "hex": head_frame([one, two]).hex()}


def witnesses():
    first = said(SEQ, b"\x44" * 32)
    other = said(SEQ, b"\x44" * 32, code=64)
    after = said(SEQ + 1, first.id.raw)
    astray = said(SEQ + 1, b"\x45" * 32)
    again = said(SEQ, b"\x44" * 32, code=64, incarnation=SECOND)
    return [
        shown("two records in one place", True, first, other),
        shown("the second names another before it", True, first, astray),
        shown("one after the other", False, first, after),
        shown("the same number in two incarnations", False, first, again),
        shown("one record alone", False, first),
    ]


def refused():
    record = said(SEQ, b"\x44" * 32)
    forged = record.data[:-1] + bytes([record.data[-1] ^ 1])
    cancel = Cancel(TaskId(b"\x43" * 32), 2)
    chainless = sign_record(SigningKey(SEED), NETWORK, cancel.kind, cancel.fields())
    entry = list(head(record, SEQ))
    cases = {
        "no such frame": [4, []],
        "a map for a head": [2, [dict(enumerate(entry))]],
        "a key of 31 bytes": [2, [[entry[0][1:], *entry[1:]]]],
        "an incarnation of 15 bytes": [2, [[entry[0], entry[1][1:], *entry[2:]]]],
        "a negative number": [2, [[*entry[:2], -1, entry[3]]]],
        "65 heads": [2, [entry] * 65],
        "9 witnesses": [3, [record.data] * 9],
        "a witness that is no byte string": [3, [entry]],
        "a witness whose signature is wrong": [3, [forged]],
        "a witness of a kind without a chain": [3, [chainless.data]],
    }
    frames = [{"why": why, "hex": encode(it).hex()} for why, it in cases.items()]
    frames.append({"why": "a byte too many", "hex": head_frame([]).hex() + "00"})
    return frames


def rendered():
    """The text of the file."""
    parts = {
        "comment": "Frames of R4.6i in docs/spec/04-signals-and-claims.md, in bytes.",
        "seed": SEED.hex(),
        "network": NETWORK.raw.hex(),
        "heads": heads(),
        "witnesses": witnesses(),
        "refused": refused(),
    }
    return json.dumps(parts, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
