"""Members: what a grant of ours says about whom it is made out to."""

from nestmate_protocol.clocks import Moment
from nestmate_protocol.grants import Rights
from nestmate_protocol.ids import Address, DeviceKey
from nestmate_protocol.spaces.auth import grant_in
from nestmate_protocol.spaces.members import grant_deed
from nestmate_protocol.spaces.requests import GrantRights

ME, KEY = DeviceKey(b"\x01" * 32), DeviceKey(b"\x02" * 32)


class Founded:
    """As much of a space as a founder's grant asks for."""

    @property
    def engine(self):
        return self

    rights = engine

    def is_founder(self, key):
        return key == ME


def test_a_grant_names_the_rotations_known_of_so_that_older_keys_get_nothing():
    body = GrantRights("x", Address(b"\x03" * 32), (KEY,), Rights.READ, generation=3)
    deed = grant_deed(Founded(), body, ME, Moment(0, 0))
    assert grant_in(deed.mutation).generation == 3
