"""Types: what the entries of one object come to, one module for each kind of object."""

from nestmate_protocol.spaces.types.entries import Entry
from nestmate_protocol.spaces.types.rules import live_of, right_for, well_formed

__all__ = ["Entry", "live_of", "right_for", "well_formed"]
