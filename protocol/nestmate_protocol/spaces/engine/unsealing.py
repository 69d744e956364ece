"""Unsealing: what could not be read is looked at anew when its secret comes.

There may be a million such ops, so it goes on a little at a time whenever the engine is
woken; what is written meanwhile does not wait, because in which order ops come makes no
difference. This file decides neither what counts nor what is live.
"""

from collections.abc import Iterable

from nestmate_protocol.keys import SigningKey
from nestmate_protocol.limits import UNSEALED_PER_STEP
from nestmate_protocol.spaces.engine import stored
from nestmate_protocol.spaces.engine.chains import COVERED
from nestmate_protocol.spaces.engine.ledger import Ledger
from nestmate_protocol.spaces.engine.packing import Writer, pack_touched


class Unsealing:
    """Reads what waits in a vault."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._vault = ledger.vault

    def __repr__(self) -> str:
        return f"<Unsealing from {self._vault!r}>"

    @property
    def is_due(self) -> bool:
        """Whether something can be read that has not been looked at yet."""
        return bool(self._vault.readable)

    def use_keys(self, keys: Iterable[SigningKey]) -> None:
        """Open what is sealed to these keys as well."""
        keyring = self._vault.keyring
        keyring.use(keys)
        for deed in self._ledger.authority.deeds.values():
            handed = {key for _, some in deed.handed for key in some}
            held = self._ledger.find(deed.id) if keyring.opens(handed) else None
            if held is not None:
                self._vault.learn(held.parts()[0])
        self.begin()

    def begin(self) -> None:
        """A secret has come: read words at once, and of the rest some."""
        self._ledger.ephemeral.reread()
        self.go_on()

    def go_on(self) -> None:
        """Read some of what waited for a secret, and let it count if it does."""
        room = UNSEALED_PER_STEP
        for name in tuple(self._vault.readable):
            some = list(self._vault.take(name, room))
            for raw in some:
                found = self._ledger.find(raw)
                if found is not None:
                    self._read(raw, found)
            room -= len(some)
            if not room:
                return
            del self._vault.readable[name]

    def _read(self, raw: bytes, found: stored.Stored) -> None:
        ledger = self._ledger
        chain = ledger.chains.chain(found.lane, found.author)
        branch = chain.branches[found.branch]
        link = ledger.chains.link(chain, (found.branch, found.seq))
        if link is None:
            return
        content = self._vault.covered_parts(found, link.cap)
        covered = COVERED if content[0] else 0
        link = link._replace(flags=covered, touched=pack_touched(content[0]))
        ledger.chains.put(chain, branch, link)
        if covered and ledger.standing.passes(chain, branch.number, link):
            by = Writer(raw, found.author, found.incarnation, found.seq, found.hlc)
            ledger.objects.add_again(by, content)
