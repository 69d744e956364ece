"""Golden vectors of the thirteen kinds that carry a task from its call to its receipt.

One story: Ann calls for a translation, Cid says that she needs it too, Bob claims it,
gets a lease, beats, delivers and gets a receipt. Beside it, Bob gives a task back, Ann
calls one off and testifies, another task takes the result, and delegates give one away
while Ann is silent. Keys and addresses come
from equal bytes, so that any language can make them; signals and deposits also come in
their shortest form.
"""

from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256

from nestmate_protocol.ids import Address, Identifier, NetworkId, RecordId, TaskId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.records import Record, sign_record
from nestmate_protocol.signals.claims import (
    Beat,
    Cancel,
    Claim,
    Done,
    Lease,
    Receipt,
    Release,
    Supply,
    Verdict,
)
from nestmate_protocol.signals.levels import cost_cents
from nestmate_protocol.signals.records import (
    Deposit,
    Link,
    Signal,
    TaskClass,
    task_id,
)
from nestmate_protocol.signals.results import Fetch, Result, Standing
from nestmate_protocol.signals.testimony import Testimony
from nestmate_protocol.signals.votes import Vote

NETWORK = NetworkId(b"\x06" * 32)
ANN, BOB, CID = b"\x11" * 32, b"\x12" * 32, b"\x13" * 32
ANN_ADDRESS, BOB_ADDRESS = Address(b"\x21" * 32), Address(b"\x22" * 32)
CID_ADDRESS = Address(b"\x23" * 32)
INCARNATION = b"\x31" * 16
KEY, BODY, RESULT = b"letter-7", b'{"text":"guten Tag"}', b'"good day"'
TASK = task_id(ANN_ADDRESS, KEY)
CREATED = 1_800_000_000_000

Vector = tuple[str, dict[str, object], Record]


def plain(value: object) -> object:
    """A body's value as JSON has it, bytes still bytes."""
    if isinstance(value, Identifier):
        return value.raw
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Link):
        return [plain(each) for each in value]
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value


def shown(seed: bytes, comment: str, body: object) -> Vector:
    names = (
        [field.name for field in fields(body)]
        if is_dataclass(body)
        else list(body._fields)
    )
    inputs = {"seed": seed, "network": NETWORK.raw}
    inputs |= {name: plain(getattr(body, name)) for name in names}
    record = sign_record(SigningKey(seed), NETWORK, body.kind, body.fields())
    return comment, inputs, record


def shortest() -> Signal:
    return Signal(
        issuer=ANN_ADDRESS,
        key=KEY,
        skill="translate",
        urgency_code=64,
        size_code=0,
        ttl_seconds=3_600,
        task_class=TaskClass.NORMAL,
        lease_seconds=15,
        link=Link(INCARNATION, 1_800_000_001, None, cost_cents(64)),
        body=BODY,
        body_hash=sha256(BODY).digest(),
        body_bytes=len(BODY),
        created_ms=CREATED,
        generation=1,
        open_ms=0,
    )


def signal() -> Vector:
    comment = "Ann calls for a translation; nothing optional is said."
    return shown(ANN, comment, shortest())


def signal_full() -> Vector:
    body = shortest()._replace(
        task_class=TaskClass.EXCLUSIVE,
        link=Link(INCARNATION, 1_800_000_002, b"\x41" * 32, 1_510),
        body=None,
        body_hash=sha256(BODY * 100).digest(),
        body_bytes=len(BODY * 100),
        generation=2,
        open_ms=17_000,
        half_life_seconds=60,
        deadline_ms=CREATED + 600_000,
        schema=RecordId(b"\x42" * 32),
        delegates=(BOB_ADDRESS, CID_ADDRESS),
        inputs=(TaskId(b"\x43" * 32),),
    )
    comment = "Ann calls again, with everything a signal can say; the body is too long."
    return shown(ANN, comment, body)


def deposit() -> Vector:
    link = Link(INCARNATION, 1_800_000_009, b"\x44" * 32, 305)
    body = Deposit(ANN_ADDRESS, KEY, CID_ADDRESS, link.seq, 32, link)
    return shown(CID, "Cid needs Ann's task too, at the urgency of an alert.", body)


def claim() -> Vector:
    body = Claim(TASK, BOB_ADDRESS, 1, 900, 3_600)
    return shown(BOB, "Bob asks Ann for the task.", body)


def lease() -> Vector:
    body = Lease(TASK, 1, BOB_ADDRESS, 15, 900, None, 0)
    return shown(ANN, "Ann gives the task to Bob, and denies it to all others.", body)


def lease_full() -> Vector:
    body = Lease(TASK, 2, BOB_ADDRESS, 15, 900, BODY * 100, 3, b'"good"')
    comment = "The lease brings a long body and what an earlier holder had achieved."
    return shown(ANN, comment, body)


def signal_inputs() -> Vector:
    body = shortest()._replace(inputs=(TASK,), key=b"letter-8", apart=b"second opinion")
    comment = "Ann calls for what takes the result, by somebody else each time."
    return shown(ANN, comment, body)


def lease_inputs() -> Vector:
    by_value = Supply(TASK, sha256(RESULT).digest(), len(RESULT), RESULT)
    by_hash = Supply(TaskId(b"\x43" * 32), sha256(BODY).digest(), len(BODY), None)
    task = task_id(ANN_ADDRESS, b"letter-8")
    body = Lease(task, 1, BOB_ADDRESS, 15, 900, None, 0, None, (by_value, by_hash))
    return shown(ANN, "The lease brings one input and names another.", body)


def beat() -> Vector:
    body = Beat(TASK, BOB_ADDRESS, 1, 1, 400)
    return shown(BOB, "Bob is alive and wants another term.", body)


def beat_full() -> Vector:
    body = Beat(TASK, BOB_ADDRESS, 2, 3, 0, 900)
    return shown(BOB, "Bob works while Ann is silent, and tells his rivals.", body)


def done() -> Vector:
    body = Done(TASK, BOB_ADDRESS, 1, RESULT, sha256(RESULT).digest(), 812)
    return shown(BOB, "Bob delivers.", body)


def receipt() -> Vector:
    digest = sha256(RESULT).digest()
    body = Receipt(TASK, 1, BOB_ADDRESS, digest, 850, 0, Verdict.ACCEPTED)
    return shown(ANN, "Ann has the result and says so to everyone.", body)


def release() -> Vector:
    body = Release(TASK, BOB_ADDRESS, 1, "out of paper", b'"good"', failed=True)
    return shown(BOB, "Bob cannot do it, and hands over what he has.", body)


def cancel() -> Vector:
    return shown(ANN, "Ann wants the task no more.", Cancel(TASK, 2))


def testimony() -> Vector:
    lessons = (("translate/de-en", BOB_ADDRESS, 24, 3), ("dig", CID_ADDRESS, -5, 1))
    body = Testimony(ANN_ADDRESS, CREATED, lessons)
    return shown(ANN, "Ann says how fast she has found Bob and Cid to be.", body)


def fetch() -> Vector:
    return shown(BOB, "Bob asks Ann for an input.", Fetch(TASK, BOB_ADDRESS))


def result() -> Vector:
    body = Result(TASK, ANN_ADDRESS, Standing.GIVEN, RESULT)
    return shown(ANN, "Ann gives it.", body)


def result_withheld() -> Vector:
    reason = "it is not for you"
    body = Result(TASK, ANN_ADDRESS, Standing.WITHHELD, reason=reason)
    return shown(ANN, "Ann does not give it.", body)


def signal_delegates() -> Vector:
    body = shortest()._replace(
        task_class=TaskClass.EXCLUSIVE,
        key=b"letter-9",
        delegates=(ANN_ADDRESS, BOB_ADDRESS, CID_ADDRESS),
    )
    comment = "Ann calls for what must not happen twice; two of the three decide."
    return shown(ANN, comment, body)


def vote() -> Vector:
    body = Vote(task_id(ANN_ADDRESS, b"letter-9"), CID_ADDRESS, 1, 2, BOB_ADDRESS)
    return shown(CID, "Cid votes for Bob in the second round.", body)


def vote_promise() -> Vector:
    task = task_id(ANN_ADDRESS, b"letter-9")
    body = Vote(task, CID_ADDRESS, 1, 4, None, 2, BOB_ADDRESS)
    comment = "Cid votes in no round before the fourth, and last voted in the second."
    return shown(CID, comment, body)


VECTORS = {
    "signal": signal,
    "signal_full": signal_full,
    "signal_inputs": signal_inputs,
    "deposit": deposit,
    "claim": claim,
    "lease": lease,
    "lease_full": lease_full,
    "lease_inputs": lease_inputs,
    "beat": beat,
    "beat_full": beat_full,
    "done": done,
    "receipt": receipt,
    "release": release,
    "cancel": cancel,
    "testimony": testimony,
    "fetch": fetch,
    "result": result,
    "result_withheld": result_withheld,
    "signal_delegates": signal_delegates,
    "vote": vote,
    "vote_promise": vote_promise,
}
