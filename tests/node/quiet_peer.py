"""A well-behaved node as a process of its own, for tests that stop or kill it.

It says in one line of JSON who and where it is, and stays until its input ends.
"""

import json
import os
import sys

import trio

from nestmate.network.base import NetworkOptions
from nestmate.network.libp2p.network import Libp2pNetwork
from nestmate_protocol.ids import NetworkId


def say(said):
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def main(network):
    told, _seen = trio.open_memory_channel(100_000)
    net = Libp2pNetwork(NetworkOptions(os.urandom(32), NetworkId(network)))
    async with net.running(told):
        me = {"peer": net.peer.text, "multiaddrs": net.multiaddrs}
        say(me)
        await trio.to_thread.run_sync(sys.stdin.read)


trio.run(main, bytes.fromhex(sys.argv[1]))
