"""Operations on the node itself: how it is, what is wrong with it, stop it.

Types only; ``runs/status.py`` carries them out.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nestmate.operations.fields import Request, Response


class StatusShow(Request, frozen=True):
    """How this node is doing."""


class Status(Response, frozen=True):
    """This node's own figures; ``faults`` counts what was refused from peers."""

    state: Annotated[
        Literal["running", "read-only", "stopping"],
        Meta(description="What the node is at; read-only while the disk is full."),
    ]
    address: Annotated[str, Meta(description="This agent's address (nest1…).")]
    short: Annotated[str, Meta(description="The address in eight characters.")]
    peer_id: Annotated[str, Meta(description="This node's libp2p peer id.")]
    network: Annotated[str, Meta(description="The id of the network (net1…).")]
    addrs: Annotated[
        list[str], Meta(description="Where this node is reached, as multiaddrs.")
    ]
    peers: Annotated[int, Meta(description="How many nodes it is connected to.")]
    contacts: Annotated[int, Meta(description="How many contacts it has.")]
    skills: Annotated[list[str], Meta(description="What this agent offers.")]
    tasks_own: Annotated[
        int, Meta(description="Tasks of our own, those that are over included.")
    ]
    tasks_sensed: Annotated[
        int, Meta(description="Tasks whose signals are sensed here, our own included.")
    ]
    claims: Annotated[int, Meta(description="Leases held now.")]
    spaces: Annotated[
        int, Meta(description="Spaces it takes part in, or is just joining.")
    ]
    up_seconds: Annotated[float, Meta(description="Since when it runs, in seconds.")]
    faults: Annotated[
        dict[str, int], Meta(description="What was refused from peers, by cause.")
    ]
    version: Annotated[str, Meta(description="The release of nestmate.")]
    home: Annotated[str, Meta(description="The folder that holds this node.")]
    next: Annotated[str, Meta(description="What to do next, as a sentence.")]


class VersionShow(Request, frozen=True):
    """Which release runs here."""


class Version(Response, frozen=True):
    """The release of the node, its protocol and its Python."""

    version: Annotated[str, Meta(description="The release of nestmate.")]
    protocol: Annotated[int, Meta(description="The version of the wire protocol.")]
    python: Annotated[str, Meta(description="The release of Python.")]


class DoctorCheck(Request, frozen=True):
    """Examine the running node."""


class Finding(Response, frozen=True):
    """One thing worth knowing, and how to mend it."""

    code: Annotated[str, Meta(description="A stable word for this finding.")]
    severity: Annotated[
        Literal["ok", "note", "warning", "error"], Meta(description="How bad it is.")
    ]
    text: Annotated[str, Meta(description="What was found, as a sentence.")]
    hint: Annotated[str, Meta(description="How to mend it; empty if all is well.")]


class Findings(Response, frozen=True):
    """What the examination found, worst first."""

    findings: Annotated[list[Finding], Meta(description="What was found.")]


class NodeStop(Request, frozen=True):
    """Stop this node."""


class Stopping(Response, frozen=True):
    """The node has begun to stop."""

    state: Annotated[Literal["stopping"], Meta(description="What the node is at.")] = (
        "stopping"
    )
