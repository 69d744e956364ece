"""How a home comes about: what ``nestmate init`` does, as a plain function.

The marker is written last, so a home is there whole or not at all; what was made is
taken away again when a step fails. This file knows nothing of commands and prints
nothing.
"""

import errno
import os
import shutil
import socket
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Final

from nestmate.config import Config, write_config
from nestmate.errors import HomeError
from nestmate.home import Home
from nestmate.keyfile import Entropy, LocalIdentity, create_identity

# Below the range the kernel hands out for outgoing connections, so that the port is
# not taken by chance when the node starts again.
_PORT_LOW: Final = 20_000
_PORT_HIGH: Final = 32_000
_PORT_TRIES: Final = 64


@dataclass(frozen=True, slots=True)
class NewHome:
    """A fresh home; ``words`` is the recovery phrase, shown once and kept nowhere."""

    home: Home
    config: Config
    identity: LocalIdentity
    words: tuple[str, ...] = field(repr=False)


def initialise(
    home: Home,
    config: Config,
    *,
    passphrase: str | None = None,
    entropy: Entropy = os.urandom,
) -> NewHome:
    """Make a home with settings and a new identity; ports left open are chosen now.

    A passphrase seals the device key. Raises HomeError when the place is taken, or
    when the disk refuses; nothing is left behind then.
    """
    was_there = home.root.is_dir()
    try:
        home.make_folders()
    except OSError as error:
        raise _refused(home, error) from error
    try:
        listen = tuple(_with_port(each, entropy) for each in config.listen)
        config = replace(config, listen=listen)
        write_config(home.config, config)
        identity, words = create_identity(
            home.identity, passphrase=passphrase, entropy=entropy
        )
        home.mark(version("nestmate"))
    except OSError as error:
        _clear(home, keep_root=was_there)
        raise _refused(home, error) from error
    except HomeError:
        _clear(home, keep_root=was_there)
        raise
    return NewHome(home, config, identity, words)


def _refused(home: Home, error: OSError) -> HomeError:
    return HomeError(
        f"No home could be made at {home.root}: {error.strerror}.",
        "Look at the disk's free space and at the folder's permissions.",
    )


def _with_port(multiaddr: str, entropy: Entropy) -> str:
    """The multiaddr with port 0 replaced by one that is free now."""
    head, _, port = multiaddr.rpartition("/")
    if port != "0":
        return multiaddr
    _, family_name, host, _ = head.split("/")
    family = socket.AF_INET6 if family_name == "ip6" else socket.AF_INET
    for _ in range(_PORT_TRIES):
        port = str(_PORT_LOW + int.from_bytes(entropy(4)) % (_PORT_HIGH - _PORT_LOW))
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return f"{head}/{port}"
    raise HomeError(f"No free port was found for {multiaddr}.", "Name one.")


def _clear(home: Home, *, keep_root: bool) -> None:
    for entry in home.root.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if not keep_root:
        home.root.rmdir()
