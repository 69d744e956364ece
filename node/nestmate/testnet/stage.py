"""Where the demo is shown: a live table on a terminal, plain lines anywhere else.

With JSON wanted, only the verdict is printed, as one document. This file knows
nothing of the story.
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live

Check = tuple[str, bool, str]


class Stage:
    """Shows what the story says, in the manner that fits the place."""

    def __init__(self, *, as_json: bool) -> None:
        self._quiet = as_json
        self._live: Live | None = None
        if not as_json and sys.stdout.isatty():
            from rich import live  # noqa: PLC0415 - only on a terminal

            self._live = live.Live(refresh_per_second=8, transient=True)
            self._live.start()

    def say(self, *lines: str) -> None:
        """One thing that happened."""
        for line in lines:
            if self._live is not None:
                self._live.console.print(line, markup=False, highlight=False)
            elif not self._quiet:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()

    def show(self, rows: Sequence[Sequence[str]], caption: str) -> None:
        """How things stand; shown on a terminal only."""
        if self._live is None:
            return
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table("node", "state", "role", "done", caption=caption)
        for row in rows:
            table.add_row(*row)
        self._live.update(table)

    def verdict(self, checks: Sequence[Check], seconds: float) -> None:
        """What held and what did not."""
        held = all(each for _, each, _ in checks)
        if self._quiet:
            document = {
                "held": held,
                "seconds": round(seconds, 1),
                "checks": [
                    {"check": name, "held": ok, "figure": figure}
                    for name, ok, figure in checks
                ],
            }
            sys.stdout.write(json.dumps(document) + "\n")
            return
        self.close()
        for name, ok, figure in checks:
            self.say(f"{'held' if ok else 'BROKEN':<7}{name:<40}{figure}")
        self.say(
            f"{'Every promise held' if held else 'A promise was broken'} "
            f"({seconds:.0f} s)."
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None
