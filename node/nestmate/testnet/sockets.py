"""Who is connected to whom on this machine, as the kernel tells it.

Reads the tables of TCP and UDP sockets and which of them a process holds, so that an
end of a connection can be traced to the process behind it. Needs no rights beyond
being the user of those processes. This file knows nothing of nodes.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ESTABLISHED: Final = 0x01
LISTENING: Final = 0x0A
_LINK: Final = "socket:["
_INODE: Final = 9  # place of the field in a line of /proc/net/tcp; see proc(5)

End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket: both its ends (the kernel's spelling of an address, and a port)."""

    local: End
    remote: End
    state: int
    inode: int


def tcp4_sockets() -> list[Socket]:
    """Every TCP socket over IPv4 of this network namespace."""
    return list(_table("tcp"))


def tcp_sockets() -> list[Socket]:
    """Every TCP socket of this network namespace."""
    return [*_table("tcp"), *_table("tcp6")]


def udp_sockets() -> list[Socket]:
    """Every UDP socket of this network namespace."""
    return [*_table("udp"), *_table("udp6")]


def inodes_of(pid: int) -> frozenset[int]:
    """The sockets a process holds; none if it is gone or somebody else's."""
    found: set[int] = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - often, and of many
            with suppress(OSError):  # closed meanwhile
                link = os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115 - as above
                if link.startswith(_LINK):
                    found.add(int(link[len(_LINK) : -1]))
    return frozenset(found)


def _table(name: str) -> Iterator[Socket]:
    try:
        lines = Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()
    except OSError:  # no such family here
        return
    for line in lines[1:]:
        words = line.split()
        yield Socket(
            local=_end(words[1]),
            remote=_end(words[2]),
            state=int(words[3], 16),
            inode=int(words[_INODE]),
        )


def _end(text: str) -> End:
    address, _, port = text.partition(":")
    return address, int(port, 16)
