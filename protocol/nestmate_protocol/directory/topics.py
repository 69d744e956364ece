"""Topics and keys: how a network and its skills are named on the wire.

A skill's name is hashed, so that topics and DHT keys are short and of one length, and
a network's id stands in every topic, so that networks on shared wires stay apart. The
membership kept here is bounded: what this node needs itself comes first, what it only
carries for others takes the room that is left. This file knows nothing of cards.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from nestmate_protocol.effects import Effect, Join, Leave
from nestmate_protocol.ids import NetworkId
from nestmate_protocol.limits import TOPICS_MAX

_HEX_CHARS: Final = 16


def network_id(name: str) -> NetworkId:
    """The id of the network that people call ``name``."""
    return NetworkId(sha256(b"nestmate/network/" + name.encode()).digest())


def skill_key(skill: str) -> bytes:
    """The 32-byte key under which the DHT lists who offers a skill."""
    return sha256(b"nestmate/skill/" + skill.encode()).digest()


def skill_topic(network: NetworkId, skill: str) -> str:
    """The gossip topic on which calls for a skill spread."""
    digest = sha256(skill.encode()).hexdigest()[:_HEX_CHARS]
    return f"nestmate/1/{network.raw.hex()[:_HEX_CHARS]}/skill/{digest}"


class Topics:
    """Which topics this node listens to, and why."""

    def __init__(self, network: NetworkId) -> None:
        self._network = network
        self._own: dict[str, None] = {}
        self._asked: dict[str, None] = {}
        self._carried: dict[str, None] = {}
        self._joined: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Topics {len(self._joined)} joined>"

    def __contains__(self, skill: str) -> bool:
        return skill in self._joined

    def offer(self, skills: Iterable[str]) -> list[Effect]:
        """Listen for the skills this node offers; they replace those it offered."""
        self._own = dict.fromkeys(sorted(skills))
        return self._settle()

    def ask(self, skill: str) -> list[Effect]:
        """Listen where this node has called for help; the latest calls stay."""
        self._asked.pop(skill, None)
        self._asked[skill] = None
        while len(self._asked) > TOPICS_MAX // 2:
            del self._asked[next(iter(self._asked))]
        return self._settle()

    def carry(self, skills: Iterable[str]) -> list[Effect]:
        """Help to carry topics of skills that others offer, while there is room."""
        fresh = [skill for skill in skills if skill not in self._carried]
        room = TOPICS_MAX - len(self._carried)
        if not fresh or room <= 0:
            return []
        self._carried.update(dict.fromkeys(fresh[:room]))
        return self._settle()

    def _settle(self) -> list[Effect]:
        """Leave and join until exactly the most wanted topics are joined."""
        wanted = dict.fromkeys([*self._own, *self._asked, *self._carried])
        chosen = dict.fromkeys(list(wanted)[:TOPICS_MAX])
        left = [skill for skill in self._joined if skill not in chosen]
        joined = [skill for skill in chosen if skill not in self._joined]
        self._joined = chosen
        effects: list[Effect] = [Leave(skill_topic(self._network, s)) for s in left]
        effects += [Join(skill_topic(self._network, s)) for s in joined]
        return effects
