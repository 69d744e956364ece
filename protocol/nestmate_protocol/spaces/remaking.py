"""Remaking: spaces whose rows an earlier version wrote, made anew a little at a time.

Until that is done a space is not open: nobody reads it, writes to it or is told of it.
Each batch is on its way to disk before the next is asked for; what was begun before a
restart is begun again after it. This file knows nothing of what the rows mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nestmate_protocol.clocks import Moment
from nestmate_protocol.ids import NetworkId, SpaceId
from nestmate_protocol.keys import SigningKey
from nestmate_protocol.spaces.catalogue import Listing
from nestmate_protocol.spaces.engine.rebuilding import Batch, rebuild
from nestmate_protocol.spaces.engine.rows import Reader


@dataclass(slots=True)
class _Job:
    """One space, and the batches that are still to come once it was begun."""

    listing: Listing
    batches: Iterator[Batch] | None = None


class Remaking:
    """The spaces that are being made anew, one after the other."""

    def __init__(self, reader: Reader, network: NetworkId, key: SigningKey) -> None:
        """``key`` opens what is sealed to this node."""
        self._key = key
        self._reader = reader
        self._network = network
        self._jobs: dict[SpaceId, _Job] = {}

    def __repr__(self) -> str:
        return f"<Remaking of {len(self._jobs)} spaces>"

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, space: object) -> bool:
        return space in self._jobs

    def __iter__(self) -> Iterator[Listing]:
        return iter([job.listing for job in self._jobs.values()])

    def begin(self, listing: Listing) -> None:
        """The rows of this space are to be made anew."""
        self._jobs[listing.space] = _Job(listing)

    def drop(self, space: SpaceId) -> Listing | None:
        """Leave a space as it is; None if it is not being made anew."""
        job = self._jobs.pop(space, None)
        return None if job is None else job.listing

    def step(self, now: Moment) -> tuple[Batch, Listing | None]:
        """The next rows, and the space that is whole with those before, if one is."""
        job = next(iter(self._jobs.values()), None)
        if job is None:
            return (), None
        space, prefix = job.listing.space, job.listing.prefix
        if job.batches is None:
            job.batches = rebuild(
                *(space, self._reader, prefix, self._network, now),
                keys=(self._key,),
            )
        batch = next(job.batches, None)
        if batch is not None:
            return batch, None
        del self._jobs[space]
        return (), job.listing
