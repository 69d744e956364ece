"""Scarcity: what a node does, and what it does not, while its disk takes no writes.

It reads, gives blobs away, and keeps its connections. What would have to be kept is
refused if a local agent asks for it, and passed over if a peer sends it: peers say
everything again that matters, once they are answered. Signals and spaces rest
altogether, because what they would say is no longer sure to be on the disk. This file
knows which request and which frame is of which kind, and nothing of how one is met.
"""

from typing import Final

from nestmate_protocol.blobs.requests import ListBlobs, ReadBlob, ShowBlob
from nestmate_protocol.directory.requests import (
    ConnectPeer,
    DisconnectPeer,
    FindSkill,
    ListPeers,
    ListSkills,
    PingAgent,
    ShowSelf,
    ShowStatus,
    WhoIs,
)
from nestmate_protocol.effects import Channel
from nestmate_protocol.friends.requests import ListContacts, ShowContact
from nestmate_protocol.inputs import Arrived, Heard, Input, Request
from nestmate_protocol.signals.requests import (
    ExplainClaim,
    ListAuthors,
    ListClaims,
    ListSignals,
    ShowTask,
)
from nestmate_protocol.spaces.requests import (
    ExplainPath,
    ListConflicts,
    ListMembers,
    ListPaths,
    ListSpaces,
    ListVoid,
    ReadNearest,
    ReadPath,
    ShowHistory,
    ShowSpace,
)

_READING: Final = (
    *(ShowSelf, ShowStatus, WhoIs, PingAgent, ListSkills, FindSkill),
    *(ListPeers, ConnectPeer, DisconnectPeer, ListContacts, ShowContact),
    *(ListSignals, ShowTask, ListAuthors, ListClaims, ExplainClaim),
    *(ListSpaces, ShowSpace, ListMembers, ListPaths, ReadPath, ReadNearest),
    *(ShowHistory, ListConflicts, ListVoid, ExplainPath),
    *(ListBlobs, ShowBlob, ReadBlob),
)
"""What needs nothing to be kept; whatever is not here does."""


def only_reads(body: Request) -> bool:
    """Whether a request can be met on a full disk."""
    return isinstance(body, _READING)


def waits_for_room(body: Request) -> bool:
    """Whether a request that is open cannot be met before there is room."""
    return isinstance(body, ReadBlob) or not only_reads(body)


def is_passed_over(item: Input) -> bool:
    """Whether what came from a peer is left aside on a full disk.

    Frames of spaces and blobs are not: there, peers are told or given something.
    """
    if isinstance(item, Arrived):
        return item.channel in (Channel.SIGNALS, Channel.FRIENDS)
    return isinstance(item, Heard)
