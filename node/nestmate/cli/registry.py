"""Which commands there are, in which module each lives, and one line about it.

Commands rendered from the table of operations need no module of their own. Only the
module of the command that runs is loaded. A test holds this list against the table.
This file loads nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its one line of help, and ``module:function`` if written by hand.

    An entry without ``made_by`` is rendered from the operation of the same name.
    """

    help: str
    made_by: str = ""


GROUPS: dict[str, str] = {
    "contact": "Local names and trust.",
    "peer": "The nodes this one is connected to.",
    "skill": "What I offer, and who offers what.",
    "signal": "Ask for help, and see who needs it.",
    "claim": "Take a task, keep it, finish it or give it back.",
    "space": "Documents that many write, offline too.",
    "log": "Logs in spaces.",
    "schema": "What documents must look like.",
    "blob": "Bytes of any size, named by their hash.",
    "event": "What happened at this node.",
    "event cursor": "Named places in the feed of events.",
    "event dead": "Events that readers gave up.",
    "key": "The keys of this home.",
    "config": "The settings of this home.",
    "testnet": "Real nodes on this machine.",
}

COMMANDS: dict[str, Entry] = {
    "init": Entry("Make a home: keys, settings, a store.", "homes:init"),
    "up": Entry("Run the node of this home.", "running:up"),
    "down": Entry("Stop the node.", "running:down"),
    "restart": Entry(
        "Stop the node and start it again in the background.", "running:restart"
    ),
    "status": Entry("How this node is doing, and what to do next."),
    "doctor": Entry("What is wrong here, and how to mend it.", "running:doctor"),
    "version": Entry("Which release this is.", "running:version"),
    "completion": Entry(
        "Shell completion for bash, zsh or fish.", "running:completion"
    ),
    "id": Entry("Who this node is."),
    "whois": Entry("Find an agent by address or name."),
    "ping": Entry("Reach an agent and time one round trip."),
    "invite": Entry("Make one line that lets a friend join you."),
    "join": Entry("Take up a friend's invite."),
    "contact ls": Entry("Everyone you have a name for."),
    "contact show": Entry("One contact."),
    "contact add": Entry("Give an address a local name."),
    "contact rename": Entry("Call a contact something else."),
    "contact trust": Entry("Say what you think of a contact."),
    "contact block": Entry("Cut every tie with a contact."),
    "contact rm": Entry("Forget a contact."),
    "peer ls": Entry("The nodes this one is connected to."),
    "peer connect": Entry("Connect to a node at a multiaddr."),
    "peer disconnect": Entry("Close the connection to a node."),
    "skill ls": Entry("What this node offers."),
    "skill add": Entry("Offer a skill."),
    "skill rm": Entry("Offer a skill no longer."),
    "skill find": Entry("Who offers a skill."),
    "signal deposit": Entry("Ask whoever has a skill for help."),
    "signal ls": Entry("The tasks sensed here, strongest first."),
    "signal authors": Entry("Who asks for help, and what credit they have left."),
    "signal show": Entry("Everything known of one task: its result, and why."),
    "signal result": Entry("The result of a task, once it is there."),
    "signal reinforce": Entry("Say that you need a task done as well, or still."),
    "signal withdraw": Entry("Cancel a task of your own."),
    "signal tail": Entry(
        "What happens to signals and tasks, as it happens.", "tailing:signals"
    ),
    "claim take": Entry("Claim a task, or the best of a skill."),
    "claim renew": Entry("Still working: ask for another term."),
    "claim release": Entry("Give a task back for others."),
    "claim done": Entry("The work is done; send the result."),
    "claim fail": Entry("The work cannot be done here."),
    "claim ls": Entry("The leases this node holds."),
    "claim explain": Entry("Why this node claims a task, or does not."),
    "space create": Entry("Found a space: documents that many write, offline too."),
    "space ls": Entry("The spaces this node takes part in, and those it was offered."),
    "space show": Entry("One space: what it is, how large, and how its copies stand."),
    "space join": Entry("Take part in a space, by an invite or by a grant."),
    "space leave": Entry("Take part in a space no longer; what is here of it goes."),
    "space members": Entry("Who may do what in a space, and by whose grant."),
    "space grant": Entry("Let an agent do something in a space."),
    "space invite": Entry(
        "Make one pasteable line that lets whoever holds it into a space."
    ),
    "space revoke": Entry("Take a grant back; what was written under it before stays."),
    "space endorse": Entry("Stand behind what other founders did."),
    "space sync": Entry("Compare with the members that are connected, now."),
    "space void": Entry("Writes that do not count, and why."),
    "space policy": Entry("Say how a winner is found at and below a path."),
    "get": Entry(
        "What stands at a path of a space, with its version.", "blobs:document"
    ),
    "put": Entry("Write a document in a space."),
    "rm": Entry("Take a document away."),
    "ls": Entry("The documents of a space, below a path."),
    "history": Entry("Who wrote what to a path, when, and by which right."),
    "conflicts": Entry("Documents with several values that differ."),
    "explain": Entry("Why a path shows what it shows, and who may change it."),
    "log append": Entry("Add an entry to a log in a space."),
    "log read": Entry("The latest entries of a log, in order."),
    "schema set": Entry("Say what documents at and below a path must look like."),
    "schema show": Entry("The schema that counts at a path."),
    "schema check": Entry("Which documents do not look as their schema says."),
    "blob put": Entry("Keep a file under its hash.", "blobs:put"),
    "blob get": Entry("Fetch a blob into a file.", "blobs:get"),
    "blob ls": Entry("The blobs that are here, whole or in part."),
    "blob show": Entry("One blob: how much of it is here, and who may have it."),
    "blob share": Entry("Let more agents or spaces have a blob."),
    "blob pin": Entry("Keep a blob whatever room others need, or no longer."),
    "blob rm": Entry("Have a blob here no longer."),
    "event wait": Entry("Wait for events, or read those that were missed."),
    "event tail": Entry("Everything that happens, as it happens.", "tailing:events"),
    "event find": Entry("Whether it happened, when, and who has seen it."),
    "event ack": Entry("Everything up to an event is done."),
    "event reject": Entry("Give an event up."),
    "event cursor ls": Entry("How far each reader has come."),
    "event cursor set": Entry("Make a cursor, or move one."),
    "event cursor rm": Entry("Forget a cursor."),
    "event dead ls": Entry("What was given up, and why."),
    "event dead retry": Entry("Hand dead letters out once more."),
    "event dead rm": Entry("Forget a dead letter."),
    "on": Entry("Run a command of yours on every change.", "on:on"),
    "work": Entry("Do tasks of a skill with a command of yours.", "work:work"),
    "top": Entry("Signals, claims, peers and credit at a glance, live.", "top:top"),
    "mcp": Entry("Attach an MCP host: a pipe to the running node.", "running:mcp"),
    "key rotate": Entry("Give this agent a new device key.", "homes:rotate"),
    "config get": Entry("Show one setting, or all.", "homes:config_get"),
    "config set": Entry("Change one setting.", "homes:config_set"),
    "config path": Entry("Where the settings lie.", "homes:config_path"),
    "simulate": Entry("Run the protocol in a seeded world.", "measuring:simulate"),
    "bench": Entry("Measure this machine: raw limits beside ours.", "measuring:bench"),
    "testnet up": Entry(
        "Start N real nodes that know each other by invites.", "testnets:up"
    ),
    "testnet status": Entry("Which of them run.", "testnets:status"),
    "testnet exec": Entry("Run a command at home of node K.", "testnets:execute"),
    "testnet logs": Entry("What node K wrote into its log.", "testnets:logs"),
    "testnet kill": Entry("End node K without warning.", "testnets:kill"),
    "testnet pause": Entry("Freeze node K.", "testnets:pause"),
    "testnet resume": Entry("Let node K go on.", "testnets:resume"),
    "testnet start": Entry("Start node K again.", "testnets:start"),
    "testnet down": Entry("Stop and remove all of them.", "testnets:down"),
    "testnet demo": Entry("A story with five nodes, and its verdict.", "testnets:demo"),
    "testnet trial": Entry(
        "Twenty nodes, deaths, a partition, and a verdict.", "testnets:trial"
    ),
}
