"""Conflicts: those a person must settle become tasks that call for help.

Where the policy is ``manual``, a conflict is worth a task. Every member sees the same
conflict, so that one of them is chosen to call: whoever wrote the value shown first.
The task's key is made from what is in conflict: seen twice, it is called once. This
file knows nothing of tasks but that.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import DeviceKey
from nestmate_protocol.spaces.copies import Copy
from nestmate_protocol.spaces.engine.changes import Change, ConflictOpened
from nestmate_protocol.spaces.histories import reading
from nestmate_protocol.spaces.ops import Type
from nestmate_protocol.spaces.outcomes import Settle
from nestmate_protocol.spaces.types.register import Policy

SKILL: Final = "settle-conflict"
URGENCY: Final = 0.5


def settlements(
    copy: Copy, changes: Iterable[Change], me: DeviceKey, now: Moment
) -> Iterator[Settle]:
    """The calls for help that these changes are worth, if they are ours to make."""
    for path in dict.fromkeys(c.path for c in changes if isinstance(c, ConflictOpened)):
        look = reading(copy, now)
        document = look.document(path, Type.REGISTER)
        if document is None or not document.conflict:
            continue
        first = document.alternatives[0]
        if look.policy_at(path) is Policy.MANUAL and first.author == me:
            space = copy.listing.space
            what = f"{space.text}\0{path}\0{document.version}".encode()
            yield Settle(SKILL, sha256(what).digest(), space.text, path, URGENCY)
