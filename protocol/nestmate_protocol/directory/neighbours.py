"""Neighbours: cards, connections and the address book, kept in step with each other.

A card that is taken moves its agent's addresses into the book; a friend's hosts are
pinned and redialled, a blocked agent's are hung up and held. This file does not
answer anybody and knows no frame but the bytes of cards.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory import address_book
from nestmate_protocol.directory.cards_known import CardsKnown, as_effects
from nestmate_protocol.directory.dialling import Dialling, Regard
from nestmate_protocol.directory.links import Links
from nestmate_protocol.directory.outcomes import Entitled, Outcome
from nestmate_protocol.directory.own_card import Me, OwnCard
from nestmate_protocol.directory.ports import People
from nestmate_protocol.effects import Effect, HangUp, Notify, Pin
from nestmate_protocol.identity.cards import Card
from nestmate_protocol.ids import Address, PeerId

OUTDO_AGAIN_MS: Final = 60_000
_SEED_BYTES: Final = 16


class Neighbours:
    """Everyone this node knows, and whoever of them is connected."""

    def __init__(
        self,
        me: Me,
        people: People,
        peers_wanted: int,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._entropy = entropy
        self.own = OwnCard(me)
        self.people = people
        self.cards = CardsKnown(me.network, self._is_kept)
        self.links = Links()
        self.dialling = Dialling(me.peer, peers_wanted, entropy)
        self._regarded: dict[Address, tuple[PeerId, ...]] = {}
        self._regards: dict[PeerId, dict[Address, Regard]] = {}
        self._outdone_ms: int | None = None
        self._warned = False

    def __repr__(self) -> str:
        return f"<Neighbours {self.cards!r} {self.links!r}>"

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what an earlier run saved under ``d/``."""
        rows = list(pairs)
        self.own.restore(rows)
        self.cards.restore(rows)
        book = [row for row in rows if row[0].startswith(address_book.PREFIX)]
        self.dialling.book.restore(book)

    def start(self) -> list[Effect]:
        """Treat everybody known as befits them; idempotent."""
        addresses = sorted(known.card.address for known in self.cards)
        return [effect for address in addresses for effect in self.regard(address)]

    def peer_of(self, address: Address) -> PeerId | None:
        """The connected peer at which this agent is, proved by its card."""
        return self.links.peer_of(address)

    def agent_at(self, peer: PeerId) -> Address | None:
        """The agent at a connected peer, proved by its card."""
        link = self.links.get(peer)
        return link.address if link else None

    def some(self, count_max: int | None) -> list[PeerId]:
        """Connected peers: so many, drawn by chance, or all for None."""
        peers = sorted(link.peer for link in self.links.all())
        if count_max is None or len(peers) <= count_max:
            return peers
        seed = self._entropy(_SEED_BYTES)
        peers.sort(key=lambda peer: sha256(seed + peer.raw).digest())
        return peers[:count_max]

    def called(self, address: Address) -> str:
        """What an agent calls itself; empty if nothing is known."""
        known = self.cards.get(address)
        return known.card.called if known else ""

    def is_forked(self, address: Address) -> bool:
        """Whether an agent's identity log contradicts itself."""
        known = self.cards.get(address)
        return known is not None and known.forked

    def own_multiaddrs(self) -> tuple[str, ...]:
        """Where this node can be reached."""
        return self.own.multiaddrs

    def take(self, card: Card, now: Moment) -> list[Outcome]:
        """Believe a card if it ranks higher; RemoteError if its signer was replaced."""
        if card.address == self.own.me.address:
            return self._take_own(card, now)
        taken = self.cards.take(card, now.wall_ms)
        outcomes: list[Outcome] = [*as_effects(taken.writes)]
        if taken.forked:
            outcomes.append(Notify("agent.forked", None, card.address))
        if taken.news:
            self.links.entitle(card.address, card.log.devices)
            for host in card.hosts:
                outcomes += self.dialling.book.learn_signed(host.peer, host.multiaddrs)
            outcomes += self.regard(card.address)
        outcomes.append(Entitled(card.author, card))
        return outcomes

    def saw(self, address: Address, now: Moment) -> list[Effect]:
        """An agent's node gave a sign of life."""
        return [*as_effects(self.cards.saw(address, now.wall_ms))]

    def regard(self, address: Address) -> list[Effect]:
        """Treat an agent's hosts as befits what its owner thinks of it now."""
        regard = self._opinion(address)
        before = self._regarded.pop(address, ())
        after = self.hosts(address) if regard is not Regard.OTHER else ()
        if after:
            self._regarded[address] = after
        for peer in before:
            self._regards[peer].pop(address, None)
        for peer in after:
            self._regards.setdefault(peer, {})[address] = regard
        effects: list[Effect] = []
        for peer in dict.fromkeys((*before, *after)):
            effects += self._treat(peer)
        if regard is Regard.SHUNNED:
            effects += [HangUp(peer) for peer in self.links.peers_at(address)]
        return effects

    def is_shunned(self, peer: PeerId) -> bool:
        """Whether a peer is the node of somebody blocked, and of nobody else."""
        regards = self._regards.get(peer, {})
        return bool(regards) and Regard.FRIEND not in regards.values()

    def hosts(self, address: Address) -> tuple[PeerId, ...]:
        """The nodes that an agent's card names, without our own."""
        known = self.cards.get(address)
        hosts = known.card.hosts if known else ()
        return tuple(host.peer for host in hosts if host.peer != self.own.me.peer)

    def _take_own(self, card: Card, now: Moment) -> list[Outcome]:
        """A card of our own address comes back: never fall behind it."""
        me = self.own.me
        if card.author != me.key.public:
            if self._warned or card.log.rank <= me.log.rank:
                return []
            self._warned = True
            return [Notify("self.superseded", None, me.address)]
        last = self._outdone_ms
        if last is not None and now.mono_ms - last < OUTDO_AGAIN_MS:
            return []
        if self.own.card is not None and card.data == self.own.card.data:
            return []
        saved = self.own.outdo(card.seq, now)
        self._outdone_ms = now.mono_ms if saved else last
        return [*saved]

    def _opinion(self, address: Address) -> Regard:
        if self.people.is_blocked(address):
            return Regard.SHUNNED
        return Regard.FRIEND if self.people.is_friend(address) else Regard.OTHER

    def _treat(self, peer: PeerId) -> list[Effect]:
        """A host named by several agents is treated as befits the best of them."""
        regards = self._regards.get(peer, {})
        if not regards:
            self._regards.pop(peer, None)
        friend = Regard.FRIEND in regards.values()
        other = Regard.SHUNNED if regards else Regard.OTHER
        news = self.dialling.regard(peer, Regard.FRIEND if friend else other)
        return [Pin(peer, pinned=friend)] if news else []

    def _is_kept(self, address: Address) -> bool:
        return self.people.is_contact(address) or self.peer_of(address) is not None
