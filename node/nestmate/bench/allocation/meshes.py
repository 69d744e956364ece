"""Meshes: along which links a topic's gossip runs, when it arrives, and what it costs.

Whoever has a skill stands in the mesh of its topic with about ``degree`` neighbours;
anybody else publishes through as many of them, and becomes one more member by joining.
A record arrives along the fastest way; every member passes it to all neighbours but the
one it came from. This file knows nothing of who is alive.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

RELAY_SECONDS = 0.002
"""What a member takes to pass a record on."""


class Mesh:
    """One topic's links; ``degrees`` is how many each agent passes records to."""

    def __init__(
        self,
        latency: NDArray[np.float64],
        links: NDArray[np.bool_],
        members: NDArray[np.int64],
    ) -> None:
        self._latency = latency
        self._links = links
        self._members = set(members.tolist())
        self._costs: csr_matrix | None = None
        self._reached: dict[int, NDArray[np.float64]] = {}
        self.degrees = links.sum(1)

    def __repr__(self) -> str:
        return f"<Mesh of {len(self._members)}>"

    def __contains__(self, agent: int) -> bool:
        return agent in self._members

    def copy(self) -> "Mesh":
        """The mesh as it stands, for a run that may change it."""
        members = np.array(sorted(self._members))
        return Mesh(self._latency, self._links.copy(), members)

    def join(self, agent: int) -> None:
        """Let an agent hear the topic over the links it published through."""
        if agent not in self._members:
            self._members.add(agent)
            self._links[self._links[agent], agent] = True
            self.degrees = self._links.sum(1)
            self._costs = None
            self._reached.clear()

    def neighbours(self, agent: int) -> list[int]:
        """To whom an agent passes records."""
        return [int(each) for each in np.flatnonzero(self._links[agent])]

    def seconds_from(self, agent: int) -> NDArray[np.float64]:
        """How long a record of an agent takes to each other, infinity for never."""
        if self._costs is None:
            costs = np.where(self._links, self._latency + RELAY_SECONDS, 0.0)
            self._costs = csr_matrix(costs)
        if agent not in self._reached:
            found = dijkstra(self._costs, directed=True, indices=agent)
            self._reached[agent] = found
        return self._reached[agent]


def make_mesh(
    latency: NDArray[np.float64],
    able: NDArray[np.int64],
    degree: int,
    rng: np.random.Generator,
) -> Mesh:
    """A mesh of random rings through the able, and ways into it for all others."""
    agents = len(latency)
    links = np.zeros((agents, agents), bool)
    degree = min(degree, len(able) - 1)
    for _ in range((degree + 1) // 2):
        ring = rng.permutation(able)
        before = np.roll(ring, 1)
        links[ring, before] = links[before, ring] = True
    for agent in np.setdiff1d(np.arange(agents), able):
        links[agent, rng.permutation(able)[: max(degree, 1)]] = True
    return Mesh(latency, links, able)
