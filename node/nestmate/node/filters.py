"""Which events a reader wants: by type, space, path, author, skill.

Everything that is said must hold; what is left empty holds for all. This file knows
nothing of who reads, and nothing of where events lie.
"""

from fnmatch import fnmatchcase

import msgspec

from nestmate.node.events import Event


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What events must be like; ``kinds`` are types with ``*`` for anything.

    ``path`` is the beginning of a path, in whole segments; ``author`` an address.
    """

    kinds: tuple[str, ...] = ()
    space: str = ""
    path: str = ""
    author: str = ""
    skill: str = ""

    def matches(self, event: Event) -> bool:
        """Whether the reader wants this event."""
        if self.kinds and not any(fnmatchcase(event.kind, kind) for kind in self.kinds):
            return False
        details = event.details
        if self.space and details.get("space") != self.space:
            return False
        if self.path and not begins(details.get("path"), self.path):
            return False
        if self.author and event.author != self.author:
            return False
        return not self.skill or details.get("skill") == self.skill


def begins(path: object, prefix: str) -> bool:
    """Whether a path lies at or below another, segment by segment."""
    if not isinstance(path, str):
        return False
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")
