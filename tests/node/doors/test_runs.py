"""What carries operations out: each asks the core the right thing and shows it whole.

The core is a fake that answers what is laid out. Knows nothing of doors.
"""

import sys
import types
from dataclasses import replace
from itertools import starmap
from typing import get_args

import pytest

from nestmate.errors import DeniedError, NodeError, NotFoundError, UsageError
from nestmate.node.cursors import Cursor, DeadLetter
from nestmate.operations.perform import Caller, Meter, perform
from nestmate.operations.reasons import ProspectText, SpeedSourceText
from nestmate.operations.runs.status import next_step
from nestmate.operations.status import Finding
from nestmate.operations.table import OPERATIONS
from nestmate_protocol.directory import requests as directory
from nestmate_protocol.friends import requests as friends
from nestmate_protocol.ids import Address, DeviceKey, NetworkId, PeerId, TaskId
from nestmate_protocol.signals import requests as signals
from nestmate_protocol.signals import yields

from . import kept_things

ME = Caller("python", uid=0)
ALICE = Address(b"a" * 32)
PEER = PeerId(b"p" * 32)
TASK = TaskId(b"t" * 32)
SKILL = directory.SkillOffer("echo", "says it\nagain\x1b", '{"type":"string"}', "{", "")
AGENT = directory.AgentView(
    address=ALICE,
    name="alice",
    called="Al\u202eice",
    devices=(DeviceKey(b"d" * 32),),
    peer=PEER,
    multiaddrs=("/ip4/127.0.0.1/tcp/1",),
    skills=(SKILL,),
    network=NetworkId(b"n" * 32),
    connected=True,
    last_seen_ms=0,
    forked=False,
    card=b"card",
)
CONTACT = friends.ContactView(
    ALICE, "alice", friends.Trust.KNOWN, 1_000, connected=True
)
CLAIM = signals.ClaimView(TASK, "echo", ALICE, 2, 15, 14.5, 0.5, b"hello")
TASK_VIEW = signals.TaskView(
    task=TASK,
    skill="echo",
    issuer=ALICE,
    own=False,
    status=signals.TaskStatus.GRANTED,
    urgency=0.5,
    strength=1.5,
    age_seconds=2.0,
    generation=2,
    holder=ALICE,
    body=b'{"say":"hi"}',
    result=None,
    reason="",
    deposits=1,
)
AUTHOR = signals.AuthorView(
    address=ALICE,
    credit=12.5,
    credit_max=60.0,
    asked=0.5,
    counted=0.25,
    usual=0.3,
    tasks=3,
    known=True,
    equivocated=False,
)
EXPLANATION = signals.Explanation(
    task=TASK,
    skill="echo",
    issuer=ALICE,
    prospect=signals.Prospect.HELD,
    sentence="Would be claimed in 3.2 s, if it is still open then.",
    ready_seconds=3.2004,
    estimate=signals.Estimate(
        size=10.0,
        speed=0.5,
        source=signals.SpeedSource.LEARNED,
        setup=0.0,
        transfer=0.0,
        service=20.0,
        reference=1.0,
        percentile=85,
        good=10.0,
        margin=3.0,
        loss=10.0,
        hold=10.0,
    ),
    rival=signals.Rival(TASK, 0.5, 0.0),
)
DETAIL = signals.TaskDetail(
    strength=signals.StrengthView(
        2.0, 2.0, 1.5, 0.5, 30.0, (signals.DepositView(ALICE, 0.5, 1.0),)
    ),
    telling=signals.TellingView(
        said=2,
        again_seconds=7.5,
        able=9,
        told=8,
        listeners=(signals.ListenerView(ALICE, None, 0.0),),
        topic=False,
    ),
    attempts=(signals.AttemptView(ALICE, 2, True, 1.5),),
    ready_seconds=None,
    why="Given to the first who claimed it.",
)
ACKNOWLEDGED = signals.Acknowledged(TASK, 2)
PEER_VIEW = directory.PeerView(
    PEER, None, "", "/ip4/127.0.0.1/tcp/1", 1_000, friend=True
)

LONG = {"description": "x" * 9_000}

ANSWERS: dict[type, object] = {
    directory.ShowSelf: AGENT,
    directory.WhoIs: AGENT,
    directory.PingAgent: directory.Pong(ALICE, 1.0),
    directory.ListPeers: directory.PeerViews((PEER_VIEW,)),
    directory.ConnectPeer: directory.Done(),
    directory.DisconnectPeer: directory.Done(),
    directory.ListSkills: directory.SkillViews((SKILL,)),
    directory.AddSkill: directory.Done(),
    directory.RemoveSkill: directory.Done(),
    directory.FindSkill: directory.SkillResults(
        (directory.SkillResult(ALICE, "alice", SKILL, True, ("/ip4/127.0.0.1/tcp/1",)),)
    ),
    friends.CreateInvite: friends.Invited("nestmate1x", 1_000, 1),
    friends.JoinInvite: friends.Joined(ALICE, "alice"),
    friends.ListContacts: friends.ContactViews((CONTACT,)),
    friends.ShowContact: CONTACT,
    friends.AddContact: CONTACT,
    friends.RenameContact: CONTACT,
    friends.TrustContact: CONTACT,
    friends.RemoveContact: object(),
    signals.DepositTask: signals.Deposited(TASK),
    signals.ListSignals: signals.TaskViews((TASK_VIEW,)),
    signals.ShowTask: TASK_VIEW,
    signals.ListAuthors: signals.AuthorViews((AUTHOR,)),
    yields.AwaitResult: yields.ResultView(TASK, ALICE, b'"well"'),
    signals.ReinforceTask: ACKNOWLEDGED,
    signals.WithdrawTask: ACKNOWLEDGED,
    signals.TakeTask: CLAIM,
    signals.ExplainClaim: EXPLANATION,
    signals.ListClaims: signals.ClaimViews((CLAIM,)),
    signals.RenewClaim: ACKNOWLEDGED,
    signals.ReleaseClaim: ACKNOWLEDGED,
    signals.FinishClaim: ACKNOWLEDGED,
    signals.FailClaim: ACKNOWLEDGED,
}

# One sensible call of each operation that takes something, and what the core is asked.
CALLS: dict[str, tuple[dict[str, object], object]] = {
    "id": ({"card": True}, directory.ShowSelf(card=True)),
    "whois": ({"who": "al/ice", "timeout": "2s"}, directory.WhoIs("al/ice", 2.0)),
    "ping": ({"who": "alice"}, directory.PingAgent("alice", 15.0)),
    "invite": (
        {"uses": 2, "expires": "2h", "grants": ["x"]},
        friends.CreateInvite(2, 7_200, ("x",)),
    ),
    "join": ({"invite": " nest\nmate1x "}, friends.JoinInvite("nestmate1x", 15.0)),
    "contact.show": ({"who": "alice"}, friends.ShowContact("alice")),
    "contact.add": ({"address": ALICE.text}, friends.AddContact(ALICE, "")),
    "contact.rename": (
        {"who": ALICE.text, "name": "al"},
        friends.RenameContact(ALICE.text, "al"),
    ),
    "contact.trust": (
        {"who": "alice", "trust": "trusted"},
        friends.TrustContact("alice", friends.Trust.TRUSTED),
    ),
    "contact.block": (
        {"who": "alice"},
        friends.TrustContact("alice", friends.Trust.BLOCKED),
    ),
    "contact.rm": ({"who": "alice"}, friends.RemoveContact("alice")),
    "peer.connect": (
        {"multiaddr": "/ip4/1.2.3.4/tcp/1/p2p/x", "timeout": 1},
        directory.ConnectPeer("/ip4/1.2.3.4/tcp/1/p2p/x", 1.0),
    ),
    "peer.disconnect": ({"peer": PEER.text}, directory.DisconnectPeer(PEER)),
    "skill.add": (
        {"name": "echo", "input_schema": {"type": "string"}},
        directory.AddSkill(directory.SkillOffer("echo", "", '{"type":"string"}')),
    ),
    "skill.rm": ({"name": "echo"}, directory.RemoveSkill("echo")),
    "skill.find": (
        {"name": "echo", "limit": 3, "timeout": 0},
        directory.FindSkill("echo", 3, 0.0),
    ),
    "signal.deposit": (
        {"skill": "echo", "body": "hi", "key": "k", "ttl": "1h", "exclusive": True},
        signals.DepositTask("echo", 0.5, b"hi", key=b"k", exclusive=True),
    ),
    "signal.ls": (
        {"skill": "echo", "min_strength": 0.5, "limit": 7},
        signals.ListSignals("echo", 0.5, 7),
    ),
    "signal.show": ({"task": TASK.text}, signals.ShowTask(TASK)),
    "signal.result": (
        {"task": TASK.text, "issuer": ALICE.text, "timeout": 2},
        yields.AwaitResult(TASK, ALICE, 2.0),
    ),
    "signal.authors": ({"limit": 7}, signals.ListAuthors(7)),
    "signal.reinforce": ({"task": TASK.text}, signals.ReinforceTask(TASK)),
    "signal.withdraw": ({"task": TASK.text}, signals.WithdrawTask(TASK)),
    "claim.take": ({"skill": "echo"}, signals.TakeTask(None, "echo", 10.0)),
    "claim.explain": ({"task": TASK.text}, signals.ExplainClaim(TASK)),
    "claim.renew": ({"task": TASK.text}, signals.RenewClaim(TASK)),
    "claim.release": (
        {"task": TASK.text, "reason": "tired", "partial": [1]},
        signals.ReleaseClaim(TASK, "tired", b"[1]"),
    ),
    "claim.done": (
        {"task": TASK.text, "result": "ok", "timeout": 2},
        signals.FinishClaim(TASK, b"ok", 2.0),
    ),
    "claim.fail": ({"task": TASK.text, "reason": "no"}, signals.FailClaim(TASK, "no")),
} | kept_things.CALLS


# Calls of what is no business of the core's: the feed, with one event in it that the
# reader of one cursor has given up.
OF_EVENTS: dict[str, dict[str, object]] = {
    "event.ack": {"cursor": "c", "seq": 1},
    "event.reject": {"cursor": "c", "seq": 1},
    "event.cursor.set": {"cursor": "c"},
    "event.cursor.rm": {"cursor": "c"},
    "event.dead.retry": {"cursor": "c", "seq": 1},
    "event.dead.rm": {"cursor": "c", "seq": 1},
}
# Of these the core is asked with the time of day in it.
OF_SPACES: dict[str, dict[str, object]] = {
    "put": {"space": "garden", "path": "beds/1", "value": 5},
}


@pytest.fixture
def node(fake_node):
    fake_node.answers |= ANSWERS | kept_things.ANSWERS
    fake_node.happen("a")
    fake_node.cursors.put(Cursor("c", 0, 0, 0))
    letter = DeadLetter(fake_node.events.get(1), "no", 1, 0)
    fake_node.store.write(fake_node.cursors.bury("c", letter), durable=True)
    return fake_node


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_asks_the_core_what_was_meant(node, name):
    given, asked = CALLS[name]
    await perform(node, name, given, ME)
    assert asked in node.asked


async def test_whoever_takes_by_skill_may_say_all_of_itself(node):
    wish = {
        "skill": "echo",
        "also": ["a=b", "c=0.5", "d=2=0"],
        "speed": 2,
        "timeout": 1,
    }
    more = {"setup": "2m", "context": "", "min_urgency": 0.5}
    await perform(node, "claim.take", wish | more, ME)
    also = tuple(starmap(signals.Ability, [("a=b", 0.0), ("c", 0.5), ("d=2", 0.0)]))
    asked = signals.TakeTask(None, "echo", 1.0, 2.0, 120.0, also, "", 0.5)
    assert node.asked[0] == asked


@pytest.mark.parametrize(
    "wrong",
    [{"speed": -1}, {"min_urgency": 1.1}, {"setup": "soon"}, {"setup": "2d"}],
)
async def test_what_a_taker_cannot_be_is_refused_with_its_field(node, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        await perform(node, "claim.take", {"skill": "echo"} | wrong, ME)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
async def test_every_operation_answers_with_its_own_type(node, row, monkeypatch):
    monkeypatch.setitem(sys.modules, "nestmate.doctor", fake_doctor())
    given, _ = CALLS.get(row.name, ((OF_EVENTS | OF_SPACES).get(row.name, {}), None))
    if row.stream:
        given = {"timeout": 0}
    assert type(await perform(node, row.name, given, ME)) is row.response


def fake_doctor():
    async def checks(_node):
        return [
            Finding(code="all-well", severity="ok", text="All is well.", hint=""),
            Finding(code="disk-full", severity="error", text="Full.", hint="Delete."),
        ]

    module = types.ModuleType("nestmate.doctor")
    module.checks = checks
    return module


async def test_the_doctor_shows_what_is_worst_first(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "nestmate.doctor", fake_doctor())
    found = await perform(node, "doctor", {}, ME)
    assert [each.severity for each in found.findings] == ["error", "ok"]


async def test_an_agent_is_shown_whole_and_its_own_words_are_made_harmless(node):
    agent = await perform(node, "whois", {"who": "alice"}, ME)
    assert (agent.called, agent.card, agent.last_seen) == ("Alice", "Y2FyZA==", None)
    (skill,) = agent.skills
    assert skill.description == "says it again"
    assert (skill.input_schema, skill.output_schema) == ({"type": "string"}, None)
    assert agent.addrs == [f"/ip4/127.0.0.1/tcp/1/p2p/{PEER.text}"]


async def test_a_task_is_shown_with_its_documents_as_json(node):
    task = await perform(node, "signal.show", {"task": TASK.text}, ME)
    assert (task.status, task.body, task.result) == ("granted", {"say": "hi"}, None)
    assert (task.holder, task.generation) == (ALICE.text, 2)


async def test_a_task_is_shown_with_the_reason_where_one_is_known(node):
    plain = await perform(node, "signal.show", {"task": TASK.text}, ME)
    assert (plain.why, plain.telling, plain.attempts) == ("", None, [])
    node.answers[signals.ShowTask] = replace(TASK_VIEW, detail=DETAIL)
    task = await perform(node, "signal.show", {"task": TASK.text}, ME)
    assert (task.why, task.telling.told) == (DETAIL.why, 8)
    assert task.telling.listeners[0].agent == ALICE.text
    assert task.attempts[0].granted
    assert task.strength_parts.deposits[0].agent == ALICE.text


async def test_a_claim_is_explained_in_figures_and_words(node):
    found = await perform(node, "claim.explain", {"task": TASK.text}, ME)
    assert (found.prospect, found.why) == ("held", EXPLANATION.sentence)
    assert (found.ready_seconds, found.estimate.hold) == (3.2, 10.0)
    assert (found.estimate.speed_source, found.rival.task) == ("learned", TASK.text)


def test_every_prospect_and_source_of_the_core_can_be_shown():
    assert set(get_args(ProspectText)) == {each.value for each in signals.Prospect}
    sources = {each.value for each in signals.SpeedSource}
    assert set(get_args(SpeedSourceText)) == sources


async def test_a_peer_can_be_named_by_its_agent(node):
    await perform(node, "peer.disconnect", {"peer": "alice"}, ME)
    assert node.asked[-1] == directory.DisconnectPeer(PEER)


async def test_a_claim_is_taken_by_task_or_by_skill_and_not_by_both(node):
    for given in ({}, {"task": TASK.text, "skill": "echo"}):
        with pytest.raises(UsageError, match="either"):
            await perform(node, "claim.take", given, ME)


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("signal.show", {"task": "task1xyz"}, "task"),
        ("contact.add", {"address": TASK.text}, "address"),
        ("peer.disconnect", {"peer": "12D3KooWnope"}, "peer"),
        ("whois", {"who": "a", "timeout": "1h"}, "timeout"),
        ("signal.deposit", {"skill": "a", "deadline": "soon"}, "deadline"),
        ("signal.deposit", {"skill": "a", "body": "x" * 20_000}, "body"),
        (
            "skill.add",
            {"name": "a", "input_schema": {"x": "y" * 9_000}},
            "input_schema",
        ),
    ],
)
async def test_a_value_that_makes_no_sense_names_its_field(node, name, given, field):
    with pytest.raises(UsageError, match=f"`{field}`") as refusal:
        await perform(node, name, given, ME)
    assert refusal.value.hint
    assert not node.asked


# --- the one way in ---


async def test_a_caller_without_the_scope_is_denied(node):
    reader = Caller("mcp", agent="claude", scopes=frozenset({"read"}))
    await perform(node, "peer.ls", {}, reader)
    with pytest.raises(DeniedError, match=r"claude may not call skill\.rm"):
        await perform(node, "skill.rm", {"name": "echo"}, reader)


async def test_an_operation_nobody_knows_is_not_found(node):
    with pytest.raises(NotFoundError, match="fly"):
        await perform(node, "fly", {}, ME)


async def test_every_run_is_counted_with_its_outcome_and_its_time(node):
    meter = Meter()
    node.answers[directory.WhoIs] = NotFoundError("no")
    await perform(node, "peer.ls", b"", ME, meter=meter)
    with pytest.raises(NotFoundError):
        await perform(node, "whois", {"who": "x"}, ME, meter=meter)
    assert meter.outcomes == {("peer.ls", "ok"): 1, ("whois", "not-found"): 1}
    assert meter.seconds.keys() == {"peer.ls", "whois"}


async def test_an_answer_of_another_kind_is_told_as_the_bug_it_is(node):
    node.answers[directory.ListPeers] = directory.Done()
    with pytest.raises(NodeError, match="bug in nestmate"):
        await perform(node, "peer.ls", {}, ME)


# --- what to do next ---


OWN = replace(TASK_VIEW, own=True)


@pytest.mark.parametrize(
    ("figures", "tasks", "command"),
    [
        ({"peers": 0, "contacts": 0}, (), "nestmate invite"),
        ({"peers": 0}, (), "nestmate doctor"),
        ({"claims": 1}, (TASK_VIEW,), "nestmate claim ls"),
        ({}, (TASK_VIEW, OWN), "nestmate signal tail"),
        ({}, (TASK_VIEW,), "Somebody needs echo, which you do not offer"),
        ({"skills": ("echo",)}, (OWN, TASK_VIEW), "nestmate work echo"),
        ({}, (), "nestmate skill add"),
        ({"skills": ("echo",)}, (), "nestmate signal deposit"),
    ],
)
def test_status_names_the_one_command_that_helps_most(
    status_view, figures, tasks, command
):
    assert command in next_step(status_view(**figures), tasks)


def test_nothing_helps_more_than_room_on_a_full_disk(status_view):
    said = next_step(status_view(), (), "The disk refused: No space left on device.")
    assert said.startswith("The disk refused: No space left on device. Free some space")
