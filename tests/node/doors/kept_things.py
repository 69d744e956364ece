"""Calls of what is kept: spaces, documents and blobs, and what a core answers to them.

For ``test_runs``: of each operation one sensible call, and what the core is asked.
Knows nothing of doors.
"""

from nestmate_protocol.blobs import requests as blobs
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import Address, BlobId, DeviceKey, RecordId, SpaceId
from nestmate_protocol.spaces import requests as core
from nestmate_protocol.spaces.ops import Type

ALICE = Address(b"a" * 32)
KEY = DeviceKey(b"d" * 32)
SPACE = SpaceId(b"s" * 32)
OP = RecordId(b"o" * 32)
BLOB = BlobId(b"b" * 32)
SPACE_VIEW = core.SpaceView(SPACE, "garden", core.Standing.MEMBER, state=b"\1")
GRANT = core.GrantView(
    *("g", ALICE, (KEY,), Rights.READ, (), None, 0, 0, None, "", "helper"),
    in_force=True,
    left=False,
    sentence="Alice may read.",
)
VALUE = core.Alternative(b"5", "v", KEY, ALICE, 1_000, "")
DOCUMENT = core.DocumentView(
    SPACE, "beds/1", Type.REGISTER, b"5", "v", False, "lww", (VALUE,)
)
WRITE = core.WriteView(
    *(OP, "beds/1", Type.REGISTER, 0, b"5", "v", KEY, None, 1_000, ""), core.Fate.LIVE
)
BLOB_VIEW = blobs.BlobView(
    *(BLOB, 3, 3, next(iter(blobs.Stage)), "text/plain", True, False, (SPACE, ALICE)),
    *(1_000, 2_000),
)
CHANGED = core.Changed(SPACE, OP, "v")
DOCUMENTS = core.DocumentViews((DOCUMENT,))
WRITES = core.WriteViews((WRITE,))

ANSWERS: dict[type, object] = {
    core.CreateSpace: SPACE_VIEW,
    core.ListSpaces: core.SpaceViews((SPACE_VIEW,)),
    core.ShowSpace: SPACE_VIEW,
    core.JoinSpace: SPACE_VIEW,
    core.LeaveSpace: core.Left(SPACE),
    core.ListMembers: core.GrantViews((GRANT,)),
    core.GrantRights: CHANGED,
    core.InviteToSpace: core.SpaceInvited("nestspace1x", "g"),
    core.RevokeGrant: core.Revoked(SPACE, OP, ("i",), ("j",)),
    core.EndorseOps: CHANGED,
    core.SyncSpace: core.Synced(2, 1),
    core.ReadPath: DOCUMENT,
    core.ReadNearest: core.Nearest(".schema", b'{"type": "integer"}'),
    core.WriteChanges: CHANGED,
    core.ListPaths: DOCUMENTS,
    core.ListConflicts: DOCUMENTS,
    core.ShowHistory: WRITES,
    core.ListVoid: WRITES,
    core.ExplainPath: core.Explanation(("Because.",)),
    blobs.PutChunk: blobs.Stored(1, 3, BLOB),
    blobs.ReadBlob: blobs.BlobPart(BLOB, 3, 0, b"abc"),
    blobs.ListBlobs: blobs.BlobViews((BLOB_VIEW,), 3, 100),
    blobs.ShowBlob: BLOB_VIEW,
    blobs.ShareBlob: BLOB_VIEW,
    blobs.PinBlob: BLOB_VIEW,
    blobs.RemoveBlob: blobs.Removed(BLOB, 3),
}

IN = {"space": "garden"}
AT = {"space": "garden", "path": "beds/1"}


def writing(path: str, value: bytes, **more: object) -> core.WriteChanges:
    return core.WriteChanges("garden", (core.Change(path, value=value, **more),))


CALLS: dict[str, tuple[dict[str, object], object]] = {
    "space.create": (
        {"name": "garden", "founders": ["alice"], "threshold": 2},
        core.CreateSpace("garden", founders=((ALICE, KEY),), threshold=2),
    ),
    "space.ls": ({}, core.ListSpaces()),
    "space.show": (IN, core.ShowSpace("garden")),
    "space.join": ({"space": "nestspace1x"}, core.JoinSpace("nestspace1x")),
    "space.leave": (IN, core.LeaveSpace("garden")),
    "space.members": (IN, core.ListMembers("garden")),
    "space.grant": (
        IN | {"who": "alice", "rights": "read,write", "paths": ["beds"], "depth": 1},
        core.GrantRights(
            *("garden", ALICE, (KEY,), Rights.READ | Rights.WRITE, ("beds",)), depth=1
        ),
    ),
    "space.invite": (
        IN
        | {"rights": "read", "types": ["reg"], "label": "open day", "closes": "never"},
        core.InviteToSpace(
            "garden", Rights.READ, types=(Type.REGISTER,), label="open day"
        ),
    ),
    "space.revoke": (IN | {"grant": "alice"}, core.RevokeGrant("garden", ("g",))),
    "space.endorse": (IN | {"ops": [OP.text]}, core.EndorseOps("garden", (OP,))),
    "space.sync": (IN | {"timeout": 1}, core.SyncSpace("garden", 1.0)),
    "space.void": (IN | {"limit": 3}, core.ListVoid("garden", 3)),
    "space.policy": (
        IN | {"prefix": "beds", "policy": "max"},
        writing(".policy/beds", b'"max"'),
    ),
    "get": (
        AT | {"type": "reg", "version": "v"},
        core.ReadPath("garden", "beds/1", Type.REGISTER, "v"),
    ),
    "ls": (
        IN | {"prefix": "beds", "after": "beds/0", "limit": 2},
        core.ListPaths("garden", "beds", "beds/0", 2),
    ),
    "rm": (
        AT | {"expect": "v"},
        core.WriteChanges(
            "garden", (core.Change("beds/1", act=core.Act.DELETE, expect="v"),)
        ),
    ),
    "history": (AT | {"limit": 2}, core.ShowHistory("garden", "beds/1", 2)),
    "conflicts": (IN, core.ListConflicts("garden", 100)),
    "explain": (AT, core.ExplainPath("garden", "beds/1")),
    "log.append": (
        AT | {"value": 5},
        writing("beds/1", b"5", type=Type.LOG, act=core.Act.APPEND),
    ),
    "log.read": (AT, core.ReadPath("garden", "beds/1", Type.LOG)),
    "schema.set": (
        IN | {"prefix": "beds", "schema": {"type": "integer"}},
        writing(".schema/beds", b'{"type":"integer"}'),
    ),
    "schema.show": (
        AT,
        core.ReadNearest("garden", (".schema/beds/1", ".schema/beds", ".schema")),
    ),
    "schema.check": (
        IN | {"prefix": "beds"},
        core.ListPaths("garden", "beds", "", 1_000),
    ),
    "blob.put": (
        {"data": "abc", "media": "text/plain", "spaces": ["garden"]},
        blobs.PutChunk(b"abc", media="text/plain", scopes=(SPACE,)),
    ),
    "blob.get": (
        {"blob": BLOB.text, "timeout": 1, "agents": [ALICE.text]},
        blobs.ReadBlob(BLOB, 0, 1.0, agents=(ALICE,)),
    ),
    "blob.ls": ({}, blobs.ListBlobs()),
    "blob.show": ({"blob": BLOB.text}, blobs.ShowBlob(BLOB)),
    "blob.share": (
        {"blob": BLOB.text, "public": True, "agents": ["alice"]},
        blobs.ShareBlob(BLOB, True, (ALICE,)),
    ),
    "blob.pin": ({"blob": BLOB.text, "off": True}, blobs.PinBlob(BLOB, pinned=False)),
    "blob.rm": ({"blob": BLOB.text}, blobs.RemoveBlob(BLOB)),
}
