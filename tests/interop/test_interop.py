"""Foreign implementations judge ours: another language, another libp2p, an MCP host.

What is judged here was made in JavaScript from ``docs/spec`` alone and runs on packages
of others; our side are real nodes led by the command line. Only ``scripts/interop``
collects this file. Knows nothing of how either side works inside.
"""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from nestmate_protocol.ids import NetworkId
from nestmate_protocol.records import open_record

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
PROGRAM_SECONDS_MAX = 120
PATIENCE = 30
TOOLS_MAX = 15
COSE = "@auth0/cose, cbor2, libsodium"


@pytest.fixture
def ann(nodes):
    """A node of ours with two skills."""
    return nodes("ann", "translate", "sing")


@pytest.fixture
def jay(peers, ann, until):
    """A js-libp2p peer with an agent of its own, connected with the node."""
    jay = peers("jay", "sing")
    jay.meet(ann)
    for skill in ("translate", "sing"):
        jay.do("listen", skill=skill)
        until(lambda skill=skill: ann.peer in jay.do("mesh", skill=skill), PATIENCE)
    return jay


def our_id(node, data):
    """The id we give to the bytes of a record, in hexadecimal."""
    network = NetworkId.parse(node.run("status")["network"])
    return open_record(bytes.fromhex(data), network).id.raw.hex()


# --- records, from the pages and the vectors alone ---


def test_every_golden_record_is_judged_alike_in_another_language(judged):
    done = subprocess.run(
        ["node", "js/vectors.mjs"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=True,
    )
    checks = [json.loads(line) for line in done.stdout.splitlines()]
    judged(COSE, f"{len(checks)} checks of {len(list(VECTORS.glob('*.json')))} files")
    assert [each for each in checks if not each["ok"]] == []
    assert {path.stem for path in VECTORS.glob("*.json")} <= {
        each["name"] for each in checks
    }


def test_a_card_off_the_wire_verifies_and_gives_the_address(ann, jay, judged):
    told = jay.meet(ann)
    judged(COSE, f"record {told['record'][:16]}…, {told['address'][:16]}…")
    assert told["peer"] == ann.peer
    assert told["called"] == "ann"
    (card,) = jay.do("want_card", peer=ann.peer, address=ann.address)
    ours = ann.run("id", "--card")
    assert card["card"] == base64.b64decode(ours["card"]).hex()
    assert card["record"] == our_id(ann, card["card"])
    assert card["skills"] == [each["name"] for each in ours["skills"]]


def test_the_recovery_phrase_gives_the_keys_the_inception_commits_to(ann, jay, judged):
    told = jay.meet(ann)
    judged("@scure/bip39, @noble/hashes", "rotation key 1 and the recovery key")
    digests = jay.do("digests", phrase=ann.made["recovery"])
    assert digests == [told["rotation"], told["recovery"]]


# --- another libp2p ---


def test_a_node_takes_the_card_of_a_js_agent_and_reaches_it(ann, jay, judged):
    found = ann.run("whois", jay.address)
    judged("js-libp2p", f"whois and ping of {found['short']}")
    assert found["called"] == "jay"
    assert found["peer_id"] == jay.peer
    assert [each["name"] for each in found["skills"]] == ["sing"]
    assert ann.run("ping", jay.address)["address"] == jay.address
    assert jay.do("ask_ping", peer=ann.peer)
    assert jay.do("ping", multiaddr=ann.multiaddr) >= 0


def test_a_js_peer_finds_agents_in_our_dht(ann, jay, until, judged):
    judged("@libp2p/kad-dht", "providers of a skill, presence of an address")
    until(lambda: ann.peer in jay.do("providers", skill="translate"), PATIENCE)
    until(lambda: jay.do("resolve", address=ann.address), PATIENCE)
    (host,) = jay.do("resolve", address=ann.address)
    assert host[0] == ann.peer
    assert f"{host[1][0]}/p2p/{host[0]}" == ann.multiaddr


def test_what_a_js_peer_announces_is_kept_by_the_node(ann, jay, peers, until, judged):
    judged("@libp2p/kad-dht", "a second js peer finds the first through the node")
    assert ann.peer in jay.do("provide", skill="sing")
    assert ann.peer in jay.do("announce")
    kim = peers("kim")
    kim.meet(ann)
    until(lambda: jay.peer in kim.do("providers", skill="sing"), PATIENCE)
    ((peer, places),) = kim.do("resolve", address=jay.address)
    assert (peer, tuple(places)) == (jay.peer, jay.up["multiaddrs"])


def test_a_node_that_knows_only_a_js_peer_finds_another(ann, jay, nodes, until, judged):
    judged("@libp2p/kad-dht", "js keeps its part of the DHT for two nodes of ours")
    cleo = nodes("cleo")
    cleo.run("peer", "connect", jay.multiaddr)

    def found():
        results = cleo.run("skill", "find", "translate", "--timeout", "2s")["results"]
        return ann.address in [each["address"] for each in results]

    until(found, PATIENCE)
    assert cleo.run("whois", ann.address)["called"] == "ann"


def test_a_deposit_on_a_node_reaches_a_js_peer_by_gossip(ann, jay, judged):
    words = ("signal", "deposit", "translate", "--urgency", "0.7", "--body", "hello")
    task = ann.run(*words)["task"]
    told = jay.hears("signal", task=task, way="gossip")
    record = jay.hears("record", kind="signal", way="gossip", by=ann.address)
    assert record["record"] == our_id(ann, record["data"])
    judged(f"@libp2p/gossipsub, {COSE}", f"record {record['record'][:16]}…")
    assert told["issuer"] == ann.address
    assert told["skill"] == "translate"
    assert told["body"] == "hello"


def test_a_js_agent_does_a_task_of_a_node(ann, jay, until, judged):
    words = ("signal", "deposit", "translate", "--body", "good morning")
    task = ann.run(*words)["task"]
    jay.hears("signal", task=task)
    jay.do("claim", task=task)
    assert jay.hears("lease", task=task, mine=True)["generation"] == 1
    jay.do("finish", task=task, result="guten Morgen")
    assert jay.hears("receipt", task=task, mine=True)["verdict"] == 0
    shown = ann.run("signal", "show", task)
    judged("js-libp2p", "claim, lease, done, receipt")
    assert (shown["status"], shown["holder"]) == ("done", jay.address)
    assert shown["result"] == "guten Morgen"


def test_a_deposit_of_a_js_agent_is_sensed_on_a_node(ann, jay, until, judged):
    body = json.dumps({"song": "the river"})
    made = jay.do("deposit", skill="sing", urgency=0.9, body=body)
    assert ann.peer in made["told"]

    def sensed():
        return {each["task"]: each for each in ann.run("signal", "ls")["signals"]}

    until(lambda: made["task"] in sensed(), PATIENCE)
    signal = sensed()[made["task"]]
    judged("@libp2p/gossipsub", f"strength {signal['strength']:.0f}")
    assert signal["issuer"] == jay.address
    assert signal["body"] == {"song": "the river"}
    assert signal["urgency"] == pytest.approx(0.9, abs=0.01)


def test_a_node_does_a_task_of_a_js_agent(ann, jay, until, judged):
    task = jay.do("deposit", skill="sing", urgency=0.6, body="a carol")["task"]
    taken = ann.run("claim", "take", task)
    assert (taken["issuer"], taken["body"]) == (jay.address, "a carol")
    ann.run("claim", "done", task, "--result", "la la")
    judged("js-libp2p", "claim, lease, done, receipt")
    assert jay.hears("result", task=task, by=ann.address)["result"] == "la la"
    until(lambda: ann.run("signal", "show", task)["status"] == "done", PATIENCE)


def test_a_js_agent_takes_up_an_invite(ann, jay, judged):
    line = ann.run("invite")["invite"]
    judged("js-libp2p", "the line is read and redeemed")
    assert jay.do("join", line=f'Come in: "{line}"\n') == "welcome"
    contacts = ann.run("contact", "ls")["contacts"]
    assert jay.address in [each["address"] for each in contacts]


def test_neither_side_found_fault_with_the_other(ann, jay, peers, judged):
    judged("both", "faults counted by the node, complaints of the peers")
    assert ann.run("status")["faults"] == {}
    for peer in (jay, peers("kim")):
        assert [each for each in peer.heard if each["event"] == "complaint"] == []


# --- an MCP host ---


def inspect(node, era, *words):
    """What MCP Inspector's command line makes of a node, through ``nestmate mcp``."""
    program = HERE / "node_modules" / ".bin" / "mcp-inspector"
    settings = {
        "HOME": str(node.home.parent),
        "MCP_CATALOG_PATH": str(node.home.parent / "catalog.json"),
    }
    command = [program, "--cli", *node.command, "mcp", "--protocol-era", era]
    done = subprocess.run(
        [*command, "--format", "json", "--quiet", *words],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        env=os.environ | settings,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["result"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_an_mcp_host_lists_the_tools_and_deposits_a_task(ann, era, judged):
    tools = inspect(ann, era, "--method", "tools/list", "--strict")["tools"]
    asked = json.dumps({"skill": "translate", "urgency": 0.4, "body": f"in {era}"})
    words = ("--method", "tools/call", "--tool-name", "signal_deposit")
    result = inspect(ann, era, *words, "--tool-args-json", asked)
    judged("MCP Inspector", f"{len(tools)} tools, one deposit, era {era}")
    assert 0 < len(tools) <= TOOLS_MAX
    speaks_modern = "io.modelcontextprotocol/serverInfo" in result.get("_meta", {})
    assert speaks_modern == (era == "modern")
    shown = ann.run("signal", "show", result["structuredContent"]["task"])
    assert (shown["own"], shown["body"]) == (True, f"in {era}")
