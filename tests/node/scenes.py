"""Scenes: for each operation what has to be there, and what to ask with all it may.

A scene's name is the operation's, with an underscore for the dot. Knows no doors.
"""

import base64
import contextlib
import itertools
import os
from functools import cached_property
from typing import Any, ClassVar

from nestmate.operations.row import Operation
from nestmate_protocol.ids import Address, SpaceId

Answer = dict[str, Any]


class Nodes:
    """Two friends' nodes, and one that may be stopped."""

    def __init__(self, ada, bob, spare) -> None:
        self.ada = ada.client
        self.bob = bob.client
        self.nests = {"down": spare}
        self.asked = ada
        self._numbers = itertools.count(1)

    def new(self, word: str = "thing") -> str:
        return f"{word}-{next(self._numbers)}"

    def nest_for(self, row: Operation):
        return self.nests.get(row.name, self.asked)


class AgentScenes(Nodes):
    """Of the node, of agents, friends and peers."""

    def nothing(self) -> Answer:
        return {}

    status = version = doctor = contact_ls = peer_ls = nothing

    def down(self) -> Answer:
        if not self.nests["down"].home.pid_file.exists():
            self.nests["down"].up()
        return {}

    def id(self) -> Answer:
        return {"card": True}

    def whois(self) -> Answer:
        return {"who": "bob", "timeout": "30s"}

    def ping(self) -> Answer:
        return {"who": "bob", "timeout": 30}

    def invite(self) -> Answer:
        return {"uses": 2, "expires": "1h", "grants": ["see"]}

    def join(self) -> Answer:
        with contextlib.suppress(Exception):
            self.ada.contact.rm("bob")
        return {"invite": self.bob.invite().invite, "timeout": "30s"}

    def contact(self) -> str:
        name = self.new("friend")
        self.ada.contact.add(Address(os.urandom(32)).text, name)
        return name

    def contact_add(self) -> Answer:
        return {"address": Address(os.urandom(32)).text, "name": self.new("friend")}

    def contact_show(self) -> Answer:
        return {"who": "bob"}

    def contact_rename(self) -> Answer:
        return {"who": self.contact(), "name": self.new("pal")}

    def contact_trust(self) -> Answer:
        return {"who": self.contact(), "trust": "trusted"}

    def contact_block(self) -> Answer:
        return {"who": self.contact()}

    contact_rm = contact_block

    def peer_connect(self) -> Answer:
        return {"multiaddr": self.bob.id().addrs[0], "timeout": 30}

    def peer_disconnect(self) -> Answer:
        self.ada.peer.connect(self.bob.id().addrs[0])
        return {"peer": self.bob.id().peer_id}


class SignalScenes(Nodes):
    """Of skills and signals."""

    skill_ls = AgentScenes.nothing

    def skill_add(self) -> Answer:
        schema = {"type": "object"}
        text = {"description": "does things", "price": "0.05 USDC"}
        return {"name": self.new(), "input_schema": schema, **text}

    def skill_rm(self) -> Answer:
        name = self.new()
        self.ada.skill.add(name)
        return {"name": name}

    def skill_find(self) -> Answer:
        self.bob.skill.add("found")
        return {"name": "found", "limit": 3, "timeout": "30s"}

    def signal_deposit(self) -> Answer:
        times = {"size": "2s", "ttl": "1h", "lease": "1m", "half_life": 60}
        more = {"deadline": "15m", "exclusive": True, "key": self.new()}
        what = {"skill": self.new(), "urgency": 0.25, "body": {"say": ["hi"]}}
        apart = {"inputs": [self.kept_task], "share": True, "apart": "poll"}
        return what | times | more | apart

    def own_task(self) -> str:
        return self.ada.signal.deposit(self.new()).task

    @cached_property
    def kept_task(self) -> str:
        """One that is not spent; nobody may deposit too many too fast."""
        return self.own_task()

    def signal_ls(self) -> Answer:
        assert self.kept_task
        return {"skill": "", "min_strength": 0.0, "limit": 2}

    def signal_authors(self) -> Answer:
        return {"limit": 2}

    def signal_show(self) -> Answer:
        return {"task": self.kept_task}

    @cached_property
    def done_task(self) -> str:
        task = self.ada.signal.deposit(self.new("fine"), urgency=0.9).task
        skill = self.ada.signal.show(task).skill
        self.bob.claim.take(skill=skill, timeout=60)
        self.bob.claim.done(task, result={"all": 1}, timeout=60)
        return task

    def signal_result(self) -> Answer:
        return {"task": self.done_task, "issuer": self.ada.id().address, "timeout": 30}

    signal_reinforce = signal_show

    def signal_withdraw(self) -> Answer:
        return {"task": self.own_task()}

    def signal_tail(self) -> Answer:
        since = self.ada.event.wait(timeout=0).seq
        self.ada.signal.withdraw(self.own_task())
        return {"since": since, "timeout": 30}


class EventScenes(Nodes):
    """Of events, their readers and what these gave up."""

    SPACE: ClassVar[str] = SpaceId(bytes(32)).text
    FILTERS: ClassVar[Answer] = {"kinds": ["task.*"], "space": SPACE, "path": "p"}

    def event_wait(self) -> Answer:
        wish = {"since": 0, "timeout": "30s", "kinds": ["peer.*"], "limit": 3}
        return wish | {"cursor": self.cursor(), "author": "bob"}

    def event_find(self) -> Answer:
        times = {"after": "24h", "before": "0s", "limit": 2}
        return {"query": "peer.*", "author": "bob", **self.FILTERS, **times}

    def cursor(self) -> str:
        return self.ada.event.cursor.set(self.new("cursor"), start=0).cursor

    def event_cursor_set(self) -> Answer:
        where = {"cursor": self.new("cursor"), "seq": 1, "start": 0}
        return where | self.FILTERS | {"author": "bob"}

    event_cursor_ls = AgentScenes.nothing

    def event_cursor_rm(self) -> Answer:
        return {"cursor": self.cursor()}

    def event_ack(self) -> Answer:
        return {"cursor": self.cursor(), "seq": 1}

    def event_reject(self) -> Answer:
        return {"cursor": self.cursor(), "seq": 1, "reason": "no", "tries": 2}

    def event_dead_rm(self) -> Answer:
        cursor = self.cursor()
        self.ada.event.reject(cursor, 1)
        return {"cursor": cursor, "seq": 1}

    event_dead_retry = event_dead_rm

    def event_dead_ls(self) -> Answer:
        return {"cursor": self.event_dead_rm()["cursor"]}


class ClaimScenes(Nodes):
    """Of claims."""

    def offered(self) -> str:
        """A skill of ada's, for which bob has a task."""
        skill = self.new()
        self.ada.skill.add(skill)
        self.bob.signal.deposit(skill, urgency=0.9, lease="5m", body=["do", "it"])
        return skill

    def claim_take(self) -> Answer:
        skill, also = self.offered(), [self.new(), f"{self.new()}=0.5"]
        wish = {"skill": skill, "also": also, "speed": 1.5, "min_urgency": 0.5}
        return wish | {"setup": "1h", "context": skill, "timeout": 60}

    def held(self) -> str:
        return self.ada.claim.take(skill=self.offered(), timeout=60).task

    @cached_property
    def kept_claim(self) -> str:
        """One that is neither finished nor given back."""
        return self.held()

    def claim_ls(self) -> Answer:
        assert self.kept_claim
        return {}

    def claim_explain(self) -> Answer:
        return {"task": self.kept_claim}

    def claim_renew(self) -> Answer:
        return {"task": self.kept_claim}

    def claim_release(self) -> Answer:
        return {"task": self.held(), "reason": "tired", "partial": {"half": 1}}

    def claim_done(self) -> Answer:
        return {"task": self.held(), "result": {"all": [1, 2]}, "timeout": "30s"}

    def claim_fail(self) -> Answer:
        return {"task": self.held(), "reason": "too hard"}


class SpaceScenes(Nodes):
    """Of spaces."""

    space_ls = AgentScenes.nothing

    @cached_property
    def space(self) -> str:
        """A space of ada's, with something in it."""
        space = self.ada.space.create(self.new("garden")).space
        self.ada.put(space, "beds/1", {"plant": "beans"})
        return space

    def space_create(self) -> Answer:
        more = {"private": False, "founders": ["bob"], "threshold": 1}
        return {"name": self.new("space"), "timeout": 30} | more

    def space_show(self) -> Answer:
        return {"space": self.space}

    space_members = space_show

    def space_join(self) -> Answer:
        space = self.bob.space.create(self.new("theirs")).space
        return {"space": self.bob.space.invite(space, "read").invite, "timeout": 5}

    def space_leave(self) -> Answer:
        return {"space": self.ada.space.create(self.new("space")).space}

    def space_grant(self) -> Answer:
        where = {"space": self.space, "who": "bob", "rights": "read,write"}
        how = {"paths": ["beds"], "types": ["reg"], "expires": "30d", "depth": 1}
        return where | how | {"label": "helper", "timeout": 30}

    def space_invite(self) -> Answer:
        how = {"paths": ["beds"], "types": ["reg"], "expires": "30d"}
        return {"space": self.space, "rights": "read", "label": "open day"} | how

    def space_revoke(self) -> Answer:
        grant = self.ada.space.invite(self.space, "read").grant
        return {"space": self.space, "grant": grant}

    def space_endorse(self) -> Answer:
        space = self.ada.space.create(
            self.new("council"), founders=("bob",), threshold=2
        ).space
        op = self.ada.space.grant(space, "bob", "read").op
        return {"space": space, "ops": [op]}

    def space_sync(self) -> Answer:
        return {"space": self.space, "timeout": 5}

    def space_void(self) -> Answer:
        return {"space": self.space, "limit": 5}

    def space_policy(self) -> Answer:
        return {"space": self.space, "prefix": "plans", "policy": "manual"}


class DocumentScenes(SpaceScenes):
    """Of documents in spaces."""

    def get(self) -> Answer:
        return {"space": self.space, "path": "beds/1", "type": "reg"}

    def put(self) -> Answer:
        where = {"space": self.space, "path": f"beds/{self.new()}", "value": {"n": 1}}
        return where | {"type": "reg", "expect": "none", "act": "put", "lasts": "5m"}

    def rm(self) -> Answer:
        path = f"beds/{self.new()}"
        version = self.ada.put(self.space, path, 1).version
        return {"space": self.space, "path": path, "expect": version}

    def ls(self) -> Answer:
        return {"space": self.space, "prefix": "beds", "after": "beds/0", "limit": 2}

    def history(self) -> Answer:
        return {"space": self.space, "path": "beds/1", "limit": 2}

    conflicts = SpaceScenes.space_void

    def explain(self) -> Answer:
        return {"space": self.space, "path": "beds/1"}

    def log_append(self) -> Answer:
        return {"space": self.space, "path": "diary", "value": "it rained"}

    def log_read(self) -> Answer:
        self.ada.log.append(self.space, "diary", "it rained")
        return {"space": self.space, "path": "diary", "limit": 2}

    def schema_set(self) -> Answer:
        schema = {"type": "object", "required": ["height"]}
        return {"space": self.space, "prefix": "trees", "schema": schema}

    schema_show = explain

    def schema_check(self) -> Answer:
        return {"space": self.space, "prefix": "beds"}


class BlobScenes(Nodes):
    """Of blobs."""

    @cached_property
    def garden(self) -> str:
        return self.ada.space.create("parcels").space

    def blob(self) -> str:
        friend = self.bob.id().address
        return self.ada.blob.put(f"parcel {self.new()}", agents=(friend,)).blob

    def shared(self) -> Answer:
        with_whom = {"spaces": [self.garden], "agents": [self.bob.id().address]}
        return with_whom | {"public": True}

    def blob_put(self) -> Answer:
        data = {"base64": base64.b64encode(f"{self.new()}".encode()).decode()}
        shared = {
            "spaces": [self.garden],
            "agents": [self.bob.id().address],
            "public": True,
        }
        return {"data": data, "media": "text/plain"} | shared

    def blob_get(self) -> Answer:
        asked = {"spaces": [self.garden], "agents": [self.bob.id().address]}
        return {"blob": self.blob(), "offset": 2, "timeout": "2s"} | asked

    def blob_ls(self) -> Answer:
        self.blob()
        return {}

    def blob_show(self) -> Answer:
        return {"blob": self.blob()}

    def blob_share(self) -> Answer:
        shared = {
            "spaces": [self.garden],
            "agents": [self.bob.id().address],
            "public": True,
        }
        return self.blob_show() | shared

    def blob_pin(self) -> Answer:
        return self.blob_show() | {"off": True}

    def blob_rm(self) -> Answer:
        return self.blob_show()
