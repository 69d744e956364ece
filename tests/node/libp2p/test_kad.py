"""The DHT's table and what a node keeps for others: bounded, owned, and provable."""

import time
from hashlib import sha256

import pytest

from nestmate.network.libp2p import kadstore
from nestmate.network.libp2p.addresses import Place
from nestmate.network.libp2p.kadquery import read_message
from nestmate.network.libp2p.kadstore import Presences, Providers
from nestmate.network.libp2p.kadtable import (
    BUCKET_PEERS_MAX,
    Contact,
    Table,
    nearest,
    peer_spot,
    spot,
)
from nestmate.network.libp2p.names import Names
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.identity.cards import HostOffer, make_presence
from nestmate_protocol.identity.log import begin_log, rotate_log
from nestmate_protocol.ids import Address, NetworkId, PeerId
from nestmate_protocol.keys import SigningKey, rotation_key

NETWORK = NetworkId(b"n" * 32)
PLACES = (Place("ip4", "127.0.0.1", 4001),)


def peer(number):
    return PeerId(sha256(b"%d" % number).digest())


OWN = peer(0)


def contact(number):
    return Contact(peer(number), PLACES)


def test_the_nearest_are_those_whose_hash_differs_last():
    everybody = [contact(number) for number in range(1, 200)]
    target = spot(b"a key")
    found = nearest(everybody, target, 10)
    distances = [peer_spot(each.peer) ^ target for each in found]
    assert distances == sorted(distances)
    assert distances[-1] <= min(
        peer_spot(each.peer) ^ target for each in everybody if each not in found
    )


def test_a_full_bucket_drops_whoever_was_not_seen_for_longest():
    table = Table(OWN)
    for number in range(1, 2_000):
        table.met(contact(number))
    assert all(len(bucket) <= BUCKET_PEERS_MAX for bucket in table._buckets.values())
    first = next(iter(table._buckets.values()))
    eldest, *_, youngest = first
    table.met(Contact(eldest, PLACES))
    assert list(first)[-1] == eldest
    assert youngest in first


def test_whoever_could_not_be_reached_is_not_told_of():
    table = Table(OWN)
    table.met(contact(1))
    assert table.near(spot(b"k")) == [contact(1)]
    table.lost(peer(1))
    assert table.near(spot(b"k")) == []
    table.lost(peer(2))


class Ticking:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Ticking()


@pytest.fixture
def providers(clock):
    return Providers(OWN, clock)


def test_a_provider_is_believed_for_two_days(providers, clock):
    providers.add(b"key", peer(1), PLACES)
    assert providers.of(b"key") == [(peer(1), PLACES)]
    clock.seconds = kadstore.PROVIDED_SECONDS + 1
    assert providers.of(b"key") == []
    assert not providers._by_key
    assert not providers._keys_of


def test_one_provider_has_so_many_keys_and_others_keep_theirs(providers):
    providers.add(b"honest", peer(1), PLACES)
    for number in range(kadstore.KEYS_PER_PROVIDER_MAX):
        providers.add(b"%d" % number, peer(2), PLACES)
    with pytest.raises(RemoteError):
        providers.add(b"one more", peer(2), PLACES)
    assert providers._keys_of[peer(2)] == kadstore.KEYS_PER_PROVIDER_MAX
    assert providers.of(b"honest")


def test_many_providers_of_one_key_push_out_the_oldest(providers):
    for number in range(200):
        providers.add(b"key", peer(number), PLACES)
    known = [each for each, _ in providers.of(b"key")]
    assert len(known) == kadstore.PROVIDERS_PER_KEY_MAX
    assert known[0] == peer(199)


def test_when_there_are_too_many_keys_the_nearest_stay(providers, monkeypatch):
    monkeypatch.setattr(kadstore, "PROVIDER_KEYS_MAX", 50)
    for number in range(500):
        providers.add(b"%d" % number, peer(number), PLACES)
    assert len(providers._by_key) == 50
    mean = sum(spot(key) ^ peer_spot(OWN) for key in providers._by_key) / 50
    assert mean < (1 << 256) * 0.3


@pytest.mark.parametrize("key", [b"", b"k" * 81])
def test_a_key_of_an_odd_size_is_refused(providers, key):
    with pytest.raises(RemoteError):
        providers.add(key, peer(1), PLACES)


class Agent:
    """Somebody with an identity log and presences to announce."""

    def __init__(self, name):
        self.device = SigningKey(sha256(name.encode()).digest())
        self.seed = sha256(f"{name} recovery".encode()).digest()
        recovery = SigningKey(sha256(f"{name} rec".encode()).digest())
        following = rotation_key(self.seed, 1).public
        self.log = begin_log(self.device, following, recovery.public, b"n" * 16)

    def presence(self, seq, *, valid_ms=3_600_000, signer=None):
        until = int(time.time() * 1000) + valid_ms
        hosts = [HostOffer(peer(5), ("/ip4/127.0.0.1/tcp/1",))]
        key = signer or self.device
        return make_presence(
            key, NETWORK, self.log, hosts, seq=seq, valid_until_ms=until
        ).data


@pytest.fixture
def agent():
    return Agent("agent")


@pytest.fixture
def presences():
    return Presences(NETWORK, OWN)


def test_the_highest_number_is_kept_whatever_came_last(presences, agent):
    address = agent.log.address
    for seq in (2, 3, 1):
        presences.put(address, agent.presence(seq))
    assert presences.put(address, agent.presence(0)).seq == 3
    assert presences.get(address) == presences.put(address, agent.presence(0)).data


def test_a_rotation_outranks_any_number(presences, agent):
    address = agent.log.address
    presences.put(address, agent.presence(1_000))
    new = SigningKey(b"new" + bytes(29))
    agent.log = rotate_log(
        agent.log,
        rotation_key(agent.seed, 1),
        [new.public],
        rotation_key(agent.seed, 2).public,
    )
    rotated = agent.presence(1, signer=new)
    presences.put(address, rotated)
    assert presences.get(address) == rotated


def test_nothing_but_a_valid_presence_of_that_address_is_kept(presences, agent):
    address = agent.log.address
    good = agent.presence(1)
    forged = good[:-1] + bytes((good[-1] ^ 1,))
    expired = agent.presence(1, valid_ms=-1)
    for record in (b"", b"junk", forged, expired, bytes(20_000)):
        with pytest.raises(RemoteError):
            presences.put(address, record)
    with pytest.raises(RemoteError):
        presences.put(Address(bytes(32)), good)
    assert presences.get(address) is None


def test_presences_give_way_to_nearer_ones_when_there_is_no_room(
    presences, monkeypatch
):
    monkeypatch.setattr(kadstore, "VALUES_MAX", 5)
    agents = [Agent(f"agent {number}") for number in range(20)]
    for each in agents:
        presences.put(each.log.address, each.presence(1))
    kept = [each for each in agents if presences.get(each.log.address)]
    assert len(kept) == 5
    assert presences._bytes == sum(len(each.presence(1)) for each in kept)
    by_distance = sorted(
        agents, key=lambda each: spot(each.log.address.raw) ^ peer_spot(OWN)
    )
    assert kept[0] in by_distance[:5]


def test_a_presence_key_names_its_address_and_network():
    names, other = Names(NETWORK), Names(NetworkId(b"o" * 32))
    address = Address(b"a" * 32)
    key = names.presence_key(address)
    assert names.address_of(key) == address
    assert other.address_of(key) is None
    assert names.address_of(key + b"0") is None
    assert names.address_of(b"/pk/whatever") is None


def test_protocols_of_another_network_are_not_ours():
    names, other = Names(NETWORK), Names(NetworkId(b"o" * 32))
    assert names.is_ours(names.kad)
    assert not other.is_ours(names.kad)
    assert not names.is_ours("/meshsub/1.1.0")


@pytest.mark.parametrize(
    "octets", [b"\xff", b"\x42\xff\xff\xff\xff\x0f", b"B\x00" * 500]
)
def test_bytes_that_are_no_message_are_refused(octets):
    with pytest.raises(RemoteError):
        read_message(octets)
