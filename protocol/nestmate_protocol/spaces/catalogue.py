"""The catalogue: which spaces this node takes part in, or has been offered.

A listing is this node's own and never sent: what it calls a space, how it takes part,
and what it needs until it does. This file knows nothing of what is in a space.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from nestmate_protocol.codec import Fields, decode, encode
from nestmate_protocol.errors import LocalError, RemoteError
from nestmate_protocol.ids import Address, SpaceId
from nestmate_protocol.limits import (
    NAME_CHARS_MAX,
    SPACE_INVITE_CHARS_MAX,
    SPACE_OFFERS_MAX,
    SPACES_MAX,
)
from nestmate_protocol.spaces.requests import Standing

PREFIX: Final = b"o/r/"

Write = tuple[bytes, bytes | None]

_CODES: Final = {Standing.MEMBER: 0, Standing.JOINING: 1, Standing.OFFERED: 2}
_STANDINGS: Final = {code: standing for standing, code in _CODES.items()}
_NUMBER_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Listing:
    """One space as this node lists it.

    ``number`` is its place on this disk. ``invite`` is the line it came in by, while
    it is needed; ``by`` is who offered it.
    """

    space: SpaceId
    number: int
    standing: Standing
    name: str
    private: bool = False
    invite: str = ""
    by: Address | None = None

    @property
    def prefix(self) -> bytes:
        """What all keys of this space's rows begin with."""
        return rows_of(self.number)

    def row(self) -> Write:
        """The listing as it is kept."""
        by = None if self.by is None else self.by.raw
        fields = [
            *(self.number, _CODES[self.standing], self.name, self.private),
            *(self.invite, by),
        ]
        return PREFIX + self.space.raw, encode(fields)


class Catalogue:
    """All listings, by id and by name."""

    def __init__(self) -> None:
        self._listings: dict[SpaceId, Listing] = {}
        self._numbers = 0

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self._listings)}>"

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._listings.values())

    def restore(self, pairs: Iterable[tuple[bytes, bytes]], used: int) -> None:
        """Take over what an earlier run kept; numbers up to ``used`` are not free.

        Raises LocalError if it cannot be read.
        """
        self._numbers = used
        for key, raw in pairs:
            try:
                listing = _read(SpaceId(key[len(PREFIX) :]), Fields(decode(raw)))
            except (RemoteError, KeyError) as error:
                raise LocalError(f"a space cannot be read from disk: {error}") from None
            self._listings[listing.space] = listing
            self._numbers = max(self._numbers, listing.number)

    def get(self, space: SpaceId) -> Listing | None:
        """The listing of a space, None if there is none."""
        return self._listings.get(space)

    def find(self, text: str) -> Listing:
        """The listing a text names: an id, or a name that only one space has.

        Raises LocalError if there is none, or more than one.
        """
        named = [each for each in self if each.name == text]
        if not named and text.startswith(SpaceId.prefix + "1"):
            listing = self._listings.get(SpaceId.parse(text))
            named = [] if listing is None else [listing]
        if len(named) == 1:
            return named[0]
        if named:
            raise LocalError(
                f"{len(named)} spaces are called {text[:80]!r} here",
                "name it by its id: `nestmate space ls`",
            )
        raise LocalError(
            f"no space is called {text[:80]!r} here",
            "see `nestmate space ls`; `nestmate space join` takes an invite or an id",
        )

    def add(self, listing: Listing) -> Write:
        """List a space, or list it differently; raises LocalError if there is no room.

        A new listing gets a number of its own, whatever it says.
        """
        known = self._listings.get(listing.space)
        if known is None:
            self._make_room(listing)
            self._numbers += 1
            listing = replace(listing, number=self._numbers)
        else:
            listing = replace(listing, number=known.number)
        self._listings[listing.space] = listing
        return listing.row()

    def remove(self, space: SpaceId) -> Write:
        """List a space no longer."""
        del self._listings[space]
        return PREFIX + space.raw, None

    def _make_room(self, listing: Listing) -> None:
        offered = listing.standing is Standing.OFFERED
        alike = [e for e in self if (e.standing is Standing.OFFERED) == offered]
        limit = SPACE_OFFERS_MAX if offered else SPACES_MAX
        if len(alike) >= limit:
            raise LocalError(
                f"this node takes part in {limit} spaces already",
                "leave one: `nestmate space leave SPACE`",
            )
        if self._numbers >= _NUMBER_MAX:
            raise LocalError("this node has taken part in too many spaces")


def rows_of(number: int) -> bytes:
    """What the keys of all rows of one space begin with."""
    return b"o/d" + number.to_bytes(4)


def _read(space: SpaceId, fields: Fields) -> Listing:
    return Listing(
        space=space,
        number=fields.integer(0, 0, _NUMBER_MAX),
        standing=_STANDINGS[fields.integer(1, 0, len(_STANDINGS))],
        name=fields.text(2, NAME_CHARS_MAX),
        private=fields.boolean(3),
        invite=fields.text(4, SPACE_INVITE_CHARS_MAX),
        by=fields.identifier_or(5, Address, None),
    )
