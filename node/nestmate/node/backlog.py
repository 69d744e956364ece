"""The backlog: what waits for a disk that takes no writes.

Writes are kept by key, the last one wins, so that what changes often takes no more
room; what must not be seen before it is saved waits in order. This file knows neither
the store nor what waits.
"""

from collections.abc import Iterable, Sequence

from nestmate.store.base import Write
from nestmate_protocol.effects import Effect, Notify, Reply, Save
from nestmate_protocol.limits import EFFECTS_WITHHELD_MAX

RETRY_MS = 1_000


class Backlog:
    """Writes and effects in waiting; ``trouble`` is why, empty if nothing waits."""

    def __init__(self) -> None:
        self.trouble = ""
        self._writes: dict[bytes, bytes | None] = {}
        self._withheld: list[Effect] = []
        self._try_at_ms = 0

    def __repr__(self) -> str:
        return f"<Backlog {len(self._writes)} writes {self.trouble!r}>"

    def __len__(self) -> int:
        return len(self._writes)

    @property
    def writes(self) -> list[Write]:
        """All that is to be written, as one batch."""
        return list(self._writes.items())

    def hold(self, writes: Iterable[Write]) -> None:
        """Keep writes until there is room."""
        self._writes.update(writes)

    def withhold(self, step: Sequence[Effect]) -> None:
        """Let what must not be seen before it is saved wait for that."""
        room = EFFECTS_WITHHELD_MAX - len(self._withheld)
        waiting = [each for each in step if not isinstance(each, Save | Notify | Reply)]
        self._withheld += waiting[:room]

    def refused(self, trouble: str, now_ms: int) -> None:
        """The disk has said no, again or for the first time."""
        self.trouble = trouble
        self._try_at_ms = now_ms + RETRY_MS

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to try again though nobody asks for anything."""
        return bool(self.trouble) and now_ms >= self._try_at_ms

    def written(self) -> list[Effect]:
        """All is written: what waited for that, in order."""
        withheld, self._withheld = self._withheld, []
        self._writes.clear()
        self.trouble = ""
        return withheld
