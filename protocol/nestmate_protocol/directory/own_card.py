"""Own card: what this node's agent offers, and the signed card that says so.

Each card has a higher number than any before it, also after a restart, a lost tail of
the disk or a clock that was set back; the number is saved before the card is shown.
A change that no other node would accept leaves everything as it was. This file knows
nobody else.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.effects import Save
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.identity.cards import (
    SEQ_MAX,
    Card,
    HostOffer,
    Profile,
    SkillOffer,
    check_skill,
    make_card,
    make_presence,
)
from nestmate_protocol.identity.log import IdentityLog
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import (
    CARD_RENEW_MS,
    CARD_TTL_MS,
    HOST_ADDRESSES_MAX,
    MULTIADDR_CHARS_MAX,
    PRESENCE_TTL_MS,
    SKILLS_PER_CARD_MAX,
)

KEY: Final = b"d/own"
LOOK_MS: Final = 60_000
"""How soon a wall clock that was set is noticed."""

_VERSION: Final = 1
_WHOLE: Final = "skill schemas are JSON texts of a JSON Schema"


@dataclass(frozen=True, slots=True)
class Me:
    """Whose card this is; ``called`` is the name it proposes to others."""

    key: SigningKey
    log: IdentityLog
    peer: PeerId
    called: str
    network: NetworkId

    @property
    def address(self) -> Address:
        """The agent's address."""
        return self.log.address


class OwnCard:
    """This node's own card, and the skills in it."""

    def __init__(self, me: Me) -> None:
        self.me = me
        self.card: Card | None = None
        self.multiaddrs: tuple[str, ...] = ()
        self._skills: dict[str, SkillOffer] = {}
        self._seq = 0
        self._look_ms: int | None = None

    def __repr__(self) -> str:
        return f"<OwnCard {self._seq}, {len(self._skills)} skills>"

    @property
    def skills(self) -> tuple[SkillOffer, ...]:
        """What this agent offers, by name."""
        return tuple(self._skills[name] for name in sorted(self._skills))

    @property
    def look_ms(self) -> int | None:
        """When to call ``refresh``, on the monotonic clock."""
        return self._look_ms

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved; raises LocalError if it is damaged."""
        for key, value in pairs:
            if key == KEY:
                self._seq, skills = _unpack(value)
                self._skills = {skill.name: skill for skill in skills}

    def listen(self, multiaddrs: tuple[str, ...], now: Moment) -> list[Save]:
        """Be reached here from now on; what no card can hold is left out."""
        fitting = [each for each in multiaddrs if _is_multiaddr(each)]
        self.multiaddrs = tuple(fitting[:HOST_ADDRESSES_MAX])
        return self.renew(now)

    def add(self, skill: SkillOffer, now: Moment) -> list[Save]:
        """Offer one more skill, or the same on other terms; LocalError if it cannot."""
        _check(skill)
        if self._skills.get(skill.name) == skill and self.card is not None:
            return []
        if skill.name not in self._skills and len(self._skills) >= SKILLS_PER_CARD_MAX:
            raise LocalError(
                f"a card takes {SKILLS_PER_CARD_MAX} skills",
                "remove one first: `nestmate skill rm NAME`",
            )
        return self._change({**self._skills, skill.name: skill}, now)

    def remove(self, name: str, now: Moment) -> list[Save]:
        """Offer a skill no longer."""
        left = {each: skill for each, skill in self._skills.items() if each != name}
        return self._change(left, now)

    def renew(self, now: Moment) -> list[Save]:
        """Make the card anew, with a higher number and a later end."""
        return self._change(self._skills, now)

    def is_due(self, now: Moment) -> bool:
        """Whether the card is old by now, or the wall clock was set meanwhile.

        With more time left than a new card has, it would be from the future to others
        whose clocks are as far from ours as they may be.
        """
        left_ms = self._left_ms(now)
        return not CARD_TTL_MS - CARD_RENEW_MS < left_ms <= CARD_TTL_MS

    def refresh(self, now: Moment) -> list[Save]:
        """Make the card anew if that is due, and set the time of the next look."""
        if self.card is None:
            return []
        if self.is_due(now):
            return self.renew(now)
        self._look_later(now)
        return []

    def outdo(self, seq: int, now: Moment) -> list[Save]:
        """Somebody holds a card of ours with this number: take a higher one."""
        if seq < self._seq:
            return []
        self._seq = seq
        return self.renew(now)

    def presence(self, now: Moment) -> bytes | None:
        """The short form of the card for the DHT; None before there is a card."""
        if self.card is None:
            return None
        return make_presence(
            self.me.key,
            self.me.network,
            self.me.log,
            self.card.hosts,
            seq=self.card.seq,
            valid_until_ms=now.wall_ms + PRESENCE_TTL_MS,
        ).data

    def _change(self, skills: dict[str, SkillOffer], now: Moment) -> list[Save]:
        seq = min(SEQ_MAX, max(self._seq + 1, now.wall_ms))
        names = sorted(skills)
        me = self.me
        profile = Profile(
            hosts=(HostOffer(me.peer, self.multiaddrs),),
            skills=tuple(skills[name] for name in names),
            called=me.called,
        )
        card = make_card(
            me.key,
            me.network,
            me.log,
            profile,
            seq=seq,
            valid_until_ms=now.wall_ms + CARD_TTL_MS,
        )
        self.card, self._skills, self._seq = card, skills, seq
        self._look_later(now)
        return [Save(((KEY, _pack(seq, profile.skills)),))]

    def _look_later(self, now: Moment) -> None:
        young_ms = self._left_ms(now) - (CARD_TTL_MS - CARD_RENEW_MS)
        self._look_ms = now.mono_ms + min(LOOK_MS, young_ms)

    def _left_ms(self, now: Moment) -> int:
        """How long the card is still valid; of no card, as long as of a new one."""
        return (
            CARD_TTL_MS
            if self.card is None
            else (self.card.valid_until_ms - now.wall_ms)
        )


def _is_multiaddr(text: str) -> bool:
    plain_text = text.isascii() and text.isprintable()
    return plain_text and text.startswith("/") and len(text) <= MULTIADDR_CHARS_MAX


def _check(skill: SkillOffer) -> None:
    texts = (skill.description, skill.input_schema, skill.output_schema, skill.price)
    try:
        "".join((skill.name, *texts)).encode()
    except UnicodeEncodeError:
        raise LocalError(
            "this text holds half a character", "write it as whole Unicode text"
        ) from None
    check_skill(skill)
    for schema in filter(None, (skill.input_schema, skill.output_schema)):
        try:
            read = json.loads(schema)
        except (ValueError, RecursionError) as error:
            raise LocalError(f"this is not JSON: {error}", _WHOLE) from None
        if not isinstance(read, dict | bool):
            raise LocalError("a JSON Schema is an object, true or false", _WHOLE)


def _pack(seq: int, skills: Iterable[SkillOffer]) -> bytes:
    rows = [
        [s.name, s.description, s.input_schema, s.output_schema, s.price]
        for s in skills
    ]
    return encode([_VERSION, seq, rows])


def _unpack(value: bytes) -> tuple[int, list[SkillOffer]]:
    try:
        fields = Fields(decode(value, 2 * len(value)))
        rows = fields.rows(2, SKILLS_PER_CARD_MAX)
        chars = len(value)
        skills = [SkillOffer(*(row.text(at, chars) for at in range(5))) for row in rows]
        return fields.integer(1, 0, SEQ_MAX), skills
    except RemoteError:
        raise LocalError(
            "the store holds skills that cannot be read", "run `nestmate doctor`"
        ) from None
