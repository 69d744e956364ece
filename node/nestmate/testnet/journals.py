"""Journals: what the workers' own commands wrote of what they did.

One file per worker, two lines per command: when it began and when it came to its end.
A command that has no second line was ended before. This file asks no node and starts
nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

BEGAN: Final = "began"
_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One command on one task at one node; times are Unix seconds, 0 for not yet."""

    node: int
    task: str
    fence: int
    pid: int
    began: float
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class Journals:
    """The folder of all journals."""

    folder: Path

    def path(self, node: int) -> Path:
        """Where the commands of a node write."""
        return self.folder / f"journal{node}"

    def of(self, node: int) -> list[Run]:
        """Every command a node has run, oldest first."""
        try:
            text = self.path(node).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        runs: dict[tuple[str, str, str], Run] = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) != _WORDS:
                continue  # killed in the midst of it
            what, task, fence, pid, at = words
            key = task, fence, pid
            if what == BEGAN:
                runs[key] = Run(node, task, int(fence), int(pid), float(at))
            elif key in runs:
                runs[key] = replace(runs[key], ended=float(at))
        return list(runs.values())

    def all(self, nodes: Iterable[int]) -> list[Run]:
        """Every command of these nodes."""
        return [run for node in nodes for run in self.of(node)]
