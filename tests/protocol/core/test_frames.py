"""Frames of the cards and the friends channel: what is none of them is refused."""

import pytest

from nestmate_protocol.codec import encode
from nestmate_protocol.directory import frames as cards
from nestmate_protocol.errors import RemoteError
from nestmate_protocol.friends import frames as friends

ID = bytes(32)


@pytest.mark.parametrize(
    "frame",
    [
        [True, b"card"],
        {0: 3, 1: ID},
        [3, ID, 0],
        [3, ID[1:]],
        [5, True],
        [5, -1],
        [9],
        [],
    ],
)
def test_what_is_no_frame_of_the_cards_channel_is_refused(frame):
    assert cards.unpack(encode([3, ID])) == cards.WantAddress(ID)
    with pytest.raises(RemoteError):
        cards.unpack(encode(frame))


@pytest.mark.parametrize(
    "frame",
    [[True, ID, bytes(16)], {0: 2, 1: ID}, [2, ID, 0], [2, ID[1:]], [1, ID, b""]],
)
def test_what_is_no_frame_of_the_friends_channel_is_refused(frame):
    assert friends.unpack(encode([3, ID, "tired"])).reason is friends.Reason.UNKNOWN
    with pytest.raises(RemoteError):
        friends.unpack(encode(frame))
