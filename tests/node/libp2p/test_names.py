"""The examples of the transport's specification, computed anew."""

from hashlib import sha256
from pathlib import Path

import pytest

from nestmate.network.libp2p.names import Names, provider_key
from nestmate_protocol.effects import Channel
from nestmate_protocol.ids import Address, NetworkId
from nestmate_protocol.keys import host_peer, host_seed

PAGE = Path(__file__).parents[3] / "docs/spec/10-transport.md"
MAIN = Names(NetworkId(sha256(b"nestmate/network/main").digest()))
SEED = bytes(range(32))


@pytest.mark.parametrize(
    "example",
    [
        MAIN.kad,
        MAIN.channel(Channel.SIGNALS),
        MAIN.mdns_service,
        MAIN.network.raw.hex()[:32],
        provider_key(sha256(b"nestmate/skill/translate").digest()).hex()[:12],
        MAIN.presence_key(Address(SEED)).decode()[:31],
        host_seed(SEED).hex(),
        host_peer(SEED).text,
    ],
)
def test_an_example_in_the_specification_holds(example):
    assert f"`{example}" in PAGE.read_text()
