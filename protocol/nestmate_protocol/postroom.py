"""The postroom: records for agents, to wherever those agents are now.

Whoever is connected gets them at once; the others are looked for, and what is theirs
waits a while. Knows neither who wrote the records nor what they say.
"""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.directory.outbox import WAIT_MS_MAX, Outbox
from nestmate_protocol.directory.subject import Directory
from nestmate_protocol.effects import Channel, Effect, Send
from nestmate_protocol.friends.contacts import Contacts
from nestmate_protocol.ids import Address
from nestmate_protocol.records import make_frames

Mail = dict[Address, dict[bytes, int]]
"""Records with their ages in ms, by the agent they are for."""


class Postroom:
    """What is on its way to agents that cannot be reached yet."""

    def __init__(self, directory: Directory, contacts: Contacts) -> None:
        self._directory = directory
        self._contacts = contacts
        self._outbox = Outbox()

    def __repr__(self) -> str:
        return f"<Postroom {len(self._outbox)} records wait>"

    def post(self, mail: Mail, now: Moment) -> list[Effect]:
        """Send to whoever is connected; look for the others and keep it a while."""
        effects: list[Effect] = []
        for address, records in mail.items():
            peer = self._directory.neighbours.peer_of(address)
            if peer is not None:
                frames = make_frames(records.items())
                effects += [Send(peer, Channel.SIGNALS, frame) for frame in frames]
            elif not self._contacts.is_blocked(address):
                for record, age_ms in records.items():
                    self._outbox.put(address, record, age_ms, now)
                until_ms = now.mono_ms + WAIT_MS_MAX
                effects += self._directory.finder.seek(address, until_ms, now)
        return effects

    def take(self, address: Address, now: Moment) -> list[tuple[bytes, int]]:
        """What has waited for an agent, with its age now; it is gone here."""
        return self._outbox.take(address, now)

    def wake(self, now: Moment) -> None:
        """Let go of what has waited too long."""
        self._outbox.wake(now)

    def next_wakeup(self) -> int | None:
        """When ``wake`` is due on the monotonic clock in ms; None for never."""
        return self._outbox.next_wakeup()
