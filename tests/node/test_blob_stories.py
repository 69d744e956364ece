"""Blobs on real nodes: a large file through a death in the midst, and in a document.

Real processes, real libp2p, real LevelDB. Knows nothing of how any of it is done.
"""

import signal
from hashlib import shake_256

import pytest

from nestmate.testnet.processes import Process

pytestmark = pytest.mark.slow

END_SECONDS_MAX = 30
LARGE = shake_256(b"a film").digest(20_000_000)
SMALL = shake_256(b"a picture").digest(200_000)


def kill(nest):
    """End a node without warning, and come back when it is gone."""
    process = Process.of(nest.pid)
    assert process.tell(signal.SIGKILL)
    assert process.wait_gone(END_SECONDS_MAX)


def kept(nest, name, body):
    """A file beside a node's home."""
    file = nest.root.parent / f"{nest.root.name}-{name}"
    file.write_bytes(body)
    return file


def held(nest, blob):
    return next((b.held for b in nest.client.blob.ls().blobs if b.blob == blob), 0)


def diary(writer, **others):
    """A private space of one node, for others by their right."""
    writer.client.space.create("diary", private=True)
    for right, nest in others.items():
        nest.client.space.join(writer.client.space.invite("diary", right).invite)


def test_a_large_file_comes_whole_though_its_reader_was_killed_in_the_midst(
    ada, bob, until
):
    friend = bob.client.id().address
    source = kept(ada, "film", LARGE)
    blob = ada.ask("blob", "put", str(source), "--with", friend)["blob"]
    to = bob.root.parent / "film"
    getting = bob.popen("blob", "get", blob, "--to", str(to))
    until(lambda: held(bob, blob) > len(LARGE) // 4)
    kill(bob)
    assert getting.wait(END_SECONDS_MAX) == 3
    assert not to.exists()
    bob.up()
    assert 0 < held(bob, blob) < len(LARGE)
    said = bob.ask("blob", "get", blob, "--to", str(to), "--timeout", "60s")
    assert said == {"blob": blob, "bytes": len(LARGE), "to": str(to)}
    assert to.read_bytes() == LARGE
    assert not list(to.parent.glob(".*.part"))


def test_a_file_too_large_for_a_document_is_read_through_its_reference(ada, bob, until):
    ada.client.space.create("album")
    bob.client.space.join(ada.client.space.invite("album", "read").invite)
    source = kept(ada, "picture.png", SMALL)
    ada.ask("put", "album", "pictures/1", f"@{source}")
    until(lambda: bob.client.space.show("album").standing == "member")
    until(lambda: bob.client.ls("album").documents)
    value = bob.client.get("album", "pictures/1").value
    assert (value["bytes"], value["type"]) == (len(SMALL), "image/png")
    to = bob.root.parent / "picture.png"
    got = bob.ask("get", "album", "pictures/1", "--to", str(to))
    assert got["bytes"] == len(SMALL)
    assert to.read_bytes() == SMALL


def test_a_result_too_large_for_a_record_goes_to_whoever_asked(ada, bob, until):
    ada.client.skill.add("paint")
    task = bob.client.signal.deposit("paint").task
    until(lambda: task in {each.task for each in ada.client.signal.ls().signals})
    ada.client.claim.take(task, timeout=30)
    source = kept(ada, "painting.png", SMALL)
    ada.ask("claim", "done", task, "--result", f"@{source}")
    result = bob.client.signal.result(task, timeout=30).result
    worker = ada.client.id().address
    to = bob.root.parent / "painting.png"
    bob.ask("blob", "get", result["blob"], "--from", worker, "--to", str(to))
    assert to.read_bytes() == SMALL


def test_a_blind_relay_gives_a_reader_what_it_cannot_read_itself(
    ada, bob, nests, until
):
    cyd = nests("cyd").make()
    cyd.up()
    for friend in (ada, bob):
        cyd.ask("join", friend.ask("invite")["invite"])
    diary(ada, relay=bob, read=cyd)
    ada.ask("put", "diary", "pictures/1", f"@{kept(ada, 'secret.png', SMALL)}")
    until(lambda: cyd.client.ls("diary").documents)
    value = cyd.client.get("diary", "pictures/1").value
    closed = bob.root.parent / "closed"
    bob.ask("blob", "get", value["blob"], "--space", "diary", "--to", str(closed))
    assert closed.stat().st_size > len(SMALL)
    assert SMALL[:64] not in closed.read_bytes()
    kill(ada)
    to = cyd.root.parent / "opened.png"
    said = cyd.ask("get", "diary", "pictures/1", "--to", str(to), "--timeout", "60s")
    assert said["bytes"] == len(SMALL)
    assert to.read_bytes() == SMALL
