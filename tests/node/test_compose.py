"""Compositions on real nodes: patterns of work, and what becomes of them.

Hands are threads that take tasks of a skill at a node and do them with a function.
Knows nothing of how results travel.
"""

import contextlib
import json
import sys
import threading
from itertools import count

import pytest

from nestmate import compose
from nestmate.errors import ConflictError, NodeError, TimedOutError

pytestmark = pytest.mark.slow

SOON = {"urgency": 0.9}
FRESH = count()


@pytest.fixture
def hire():
    """``hire(nest, skill, do)``: a hand that does tasks of a skill until the end."""
    ended, hands = threading.Event(), []

    def work(nest, skill, do):
        while not ended.is_set():
            with contextlib.suppress(NodeError):
                claim = nest.client.claim.take(skill=skill, timeout=1)
                result = do(claim)
                if result is not ...:
                    nest.client.claim.done(claim.task, result=result)

    def begin(nest, skill, do):
        nest.client.skill.add(skill)
        hands.append(threading.Thread(target=work, args=(nest, skill, do)))
        hands[-1].start()
        return skill

    yield begin
    ended.set()
    for hand in hands:
        hand.join()


@pytest.fixture(scope="module")
def cid(nests, ada):
    """A third node, a friend of the first."""
    nest = nests("cid").make()
    nest.up()
    nest.ask("join", ada.ask("invite")["invite"])
    return nest


@pytest.fixture
def skill():
    """``skill("sort")`` is a name no other test uses."""
    number = next(FRESH)
    return lambda name: f"{name}-{number}"


def first(claim):
    return claim.inputs[0].result


def test_a_chain_hands_each_result_to_the_next_skill(ada, bob, hire, skill):
    shout = hire(bob, skill("shout"), lambda claim: claim.body.upper())
    twice = hire(bob, skill("twice"), lambda claim: first(claim) * 2)
    mark = hire(ada, skill("mark"), lambda claim: first(claim) + "!")
    assert compose.chain(ada.client, [shout, twice, mark], "hey", **SOON) == "HEYHEY!"


def test_a_chain_called_again_with_its_key_is_the_same_chain(ada, bob, hire, skill):
    calls = count(1)
    number = hire(bob, skill("number"), lambda _: next(calls))
    keep = hire(bob, skill("keep"), first)
    for _ in range(2):
        run = compose.chain(ada.client, [number, keep], "x", key=number, **SOON)
        assert run == 1


def test_a_route_is_chosen_by_what_the_chooser_answers(ada, bob, hire, skill):
    kind = hire(bob, skill("kind"), lambda c: "sum" if "+" in c.body else "text\n")
    add = hire(bob, skill("add"), lambda c: sum(map(int, c.body.split("+"))))
    size = hire(bob, skill("size"), lambda c: len(c.body))
    routes = {"sum": add, "text": size}
    assert compose.route(ada.client, kind, "1+2+3", routes, **SOON) == 6
    assert compose.route(ada.client, kind, "four", routes, **SOON) == 4
    with pytest.raises(ConflictError, match="leads nowhere"):
        compose.route(ada.client, kind, "4+4", {"text": size}, **SOON)


def test_parallel_results_come_in_the_order_of_their_bodies(ada, bob, cid, hire, skill):
    name = skill("square")
    for nest in (bob, cid):
        hire(nest, name, lambda claim: claim.body**2)
    assert compose.parallel(ada.client, name, range(6), **SOON) == [
        each**2 for each in range(6)
    ]


def test_an_orchestra_plans_works_and_combines(ada, bob, cid, hire, skill):
    words = skill("words")
    plan = [{"skill": words, "body": text} for text in ("a b", "c d e")]
    planner = hire(bob, skill("plan"), lambda _: plan)
    hire(cid, words, lambda claim: len(claim.body.split()))
    total = hire(bob, skill("sum"), lambda c: sum(each.result for each in c.inputs))
    assert compose.orchestrate(ada.client, planner, "a b\nc d e", total, **SOON) == 5


def test_a_plan_that_is_none_is_said_to_be_none(ada, bob, hire, skill):
    planner = hire(bob, skill("plan"), lambda _: "work harder")
    with pytest.raises(ConflictError, match="answered"):
        compose.orchestrate(ada.client, planner, "x", planner, **SOON)


def test_a_vote_asks_different_agents_and_takes_the_majority(
    ada, bob, cid, hire, skill
):
    name = skill("oracle")
    for nest, answer in ((ada, {"yes": 1}), (bob, {"no": 1}), (cid, {"yes": 1})):
        hire(nest, name, lambda _, answer=answer: answer)
    ballot = compose.vote(ada.client, name, "?", 3, **SOON)
    assert (ballot.result, ballot.votes) == ({"yes": 1}, 2)
    assert len(ballot.cast) in {2, 3}


def test_a_vote_without_a_majority_says_so(ada, bob, cid, hire, skill):
    name = skill("opinion")
    for nest in (ada, bob, cid):
        hire(nest, name, lambda _, nest=nest: nest.root.name)
    with pytest.raises(ConflictError, match="3 agents voted"):
        compose.vote(ada.client, name, "?", 3, **SOON)


def test_nobody_votes_twice_however_few_there_are(ada, bob, hire, skill):
    lonely = hire(bob, skill("lonely"), lambda _: "me")
    with pytest.raises(TimedOutError, match="1 of 3"):
        compose.vote(ada.client, lonely, "?", 3, timeout=4, **SOON)


def test_a_draft_is_made_again_until_the_judge_accepts_it(ada, bob, cid, hire, skill):
    def draw(claim):
        return claim.inputs[0].result + claim.inputs[1].result["comment"] * 2

    def judge(claim):
        return {"accepted": len(first(claim)) > 4, "comment": claim.body}

    maker = hire(bob, skill("draw"), lambda c: draw(c) if c.inputs else c.body)
    judged = hire(cid, skill("judge"), judge)
    done = compose.evaluate(ada.client, maker, judged, "o", rounds=5, **SOON)
    assert done == compose.Evaluated("ooooo", accepted=True, rounds=3, comment="o")
    last = compose.evaluate(ada.client, maker, judged, "i", rounds=2, **SOON)
    assert (last.result, last.accepted, last.rounds) == ("iii", False, 2)


def test_a_task_split_by_its_holder_is_done_by_others(ada, bob, cid, hire, skill):
    words, total = skill("words"), skill("sum")

    def share(claim):
        parts = [(words, line) for line in claim.body.splitlines()]
        compose.split(bob.client, claim.task, parts, total, **SOON)
        return ...

    book = hire(bob, skill("book"), share)
    hire(cid, words, lambda claim: len(claim.body.split()))
    hire(cid, total, lambda c: sum(each.result for each in c.inputs))
    assert compose.ask(ada.client, book, "a b\nc d e\nf", **SOON) == 6


def test_a_command_gets_the_results_its_task_takes(ada, bob, skill):
    cat = ("--", "sh", "-c", 'cat; cat "$NESTMATE_INPUTS"')
    with bob.popen("work", skill("sort"), "--once", "--", "sort") as sorting:
        one = ada.client.signal.deposit(skill("sort"), body="b\na\n", **SOON).task
        assert compose.wait(ada.client, one) == "a\nb\n"
        assert sorting.wait() == 0
    with bob.popen("work", skill("show"), "--once", *cat) as showing:
        said = compose.ask(ada.client, skill("show"), inputs=[one], **SOON)
        assert showing.wait() == 0
    inputs = [{"task": one, "result": "a\nb\n"}]
    assert said == "a\nb\n" + json.dumps(inputs)


def test_a_task_split_by_a_command_names_what_its_parts_came_to(
    ada, bob, cid, hire, skill
):
    words = hire(cid, skill("words"), lambda claim: len(claim.body.split()))
    nestmate = f"{sys.executable} -m nestmate"
    part = f'{nestmate} signal deposit {words} --parent "$NESTMATE_TASK" --body'
    line = f'while read -r line; do {part} "$line" --urgency 0.9; done >/dev/null'
    command = ("work", skill("book"), "--once", "--", "sh", "-c", line)
    with bob.popen(*command) as working:
        task = ada.client.signal.deposit(skill("book"), body="a b\nc\n", **SOON).task
        said = compose.wait(ada.client, task)
        assert working.wait() == 0
    assert said["issuer"] == bob.client.id().address
    parts = [each["task"] for each in said["results"]]
    whose = {"issuer": said["issuer"]}
    assert [ada.client.signal.result(part, **whose).result for part in parts] == [2, 1]
