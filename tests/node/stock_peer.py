"""A plain py-libp2p host, to prove that others can talk to a node; run as a process.

It is told a multiaddr, a network tag, a topic and a key, and prints what it managed to
do as one line of JSON. Whatever it can do without code of ours, any libp2p can.
"""

import json
import logging
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.host.ping import PingService
from libp2p.kad_dht import common, kad_dht, peer_routing, provider_store, value_store
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import gossipsub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport
from libp2p.tools.anyio_service import background_trio_service

logging.getLogger("libp2p").setLevel(logging.CRITICAL)
ADDRESS, TAG, TOPIC, KEY = sys.argv[1:]
LISTEN = [multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]
for module in (common, kad_dht, peer_routing, provider_store, value_store):
    module.PROTOCOL_ID = f"/nestmate/{TAG}/kad/1.0.0"


def say(said):
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def work(host, pubsub, dht):
    info = info_from_p2p_addr(multiaddr.Multiaddr(ADDRESS))
    await host.get_network().dial_addr(info.addrs[0], info.peer_id)
    result = {"pings": len(await PingService(host).ping(info.peer_id, 3))}
    subscription = await pubsub.subscribe(TOPIC)
    with trio.move_on_after(40):
        message = await subscription.get()
        result["heard"] = message.data.hex()
        result["signed"] = bool(message.signature)
    await dht.add_peer(info.peer_id)
    providers = await dht.find_providers(KEY)
    result["providers"] = [str(each.peer_id) for each in providers]
    await dht.provide(KEY)
    say(result)
    await trio.to_thread.run_sync(sys.stdin.read)


async def main():
    keys = create_new_key_pair(b"9" * 32)
    noise = Transport(keys, noise_privkey=create_noise_key_pair().private_key)
    host = new_host(key_pair=keys, sec_opt={NOISE: noise}, listen_addrs=LISTEN)
    router = gossipsub.GossipSub(
        protocols=[gossipsub.PROTOCOL_ID_V11],
        degree=4,
        degree_low=3,
        degree_high=6,
        heartbeat_interval=1,
        adaptive_gossip_enabled=False,
        spam_protection_enabled=False,
    )
    pubsub = Pubsub(host, router, strict_signing=False)
    dht = kad_dht.KadDHT(host, kad_dht.DHTMode.SERVER, strict_validation=True)
    async with host.run(LISTEN):
        async with (
            background_trio_service(pubsub),
            background_trio_service(router),
            background_trio_service(dht),
        ):
            await work(host, pubsub, dht)
        await host.close()


trio.run(main)
