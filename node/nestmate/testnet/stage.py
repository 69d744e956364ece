"""Where the demo is shown: a live table on a terminal, plain lines anywhere else.

With JSON wanted, only the verdict is printed, as one document; what went wrong goes
to standard error then. This file knows nothing of the story.
"""

import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.live import Live

Check = tuple[str, bool, str]
Figure = tuple[str, str]
HEADINGS = ("node", "state", "role", "in work", "done")


class Stage:
    """Shows what the story says, in the manner that fits the place."""

    def __init__(self, *, as_json: bool) -> None:
        self._quiet = as_json
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stdout.isatty():
            from rich import live  # noqa: PLC0415 - only on a terminal

            self._live = live.Live(refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def say(self, *lines: str) -> None:
        """One thing that happened."""
        for line in lines:
            if self._live is not None:
                self._live.console.print(line, markup=False, highlight=False)
            elif not self._quiet:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()

    def complain(self, *lines: str) -> None:
        """What helps to understand a failure."""
        self._close()
        out = sys.stderr if self._quiet else sys.stdout
        out.write("".join(line + "\n" for line in lines))

    def show(self, rows: Sequence[Sequence[str]], caption: str) -> None:
        """How things stand; shown on a terminal only."""
        if self._live is None:
            return
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table(*HEADINGS, caption=caption)
        for row in rows:
            table.add_row(*row)
        self._live.update(table)

    def verdict(
        self,
        checks: Sequence[Check],
        seconds: float,
        failure: str = "",
        figures: Sequence[Figure] = (),
    ) -> bool:
        """Show figures, what held and what did not; whether all of it did."""
        held = not failure and all(each for _, each, _ in checks)
        if self._quiet:
            document = {
                "held": held,
                "seconds": round(seconds, 1),
                "failure": failure,
                "checks": [
                    {"check": name, "held": ok, "figure": figure}
                    for name, ok, figure in checks
                ],
                "figures": dict(figures),
            }
            sys.stdout.write(json.dumps(document) + "\n")
            return held
        self._close()
        for name, figure in figures:
            self.say(f"{'':<8}{name:<41}{figure}")
        for name, ok, figure in checks:
            self.say(f"{'held' if ok else 'BROKEN':<8}{name:<41}{figure}")
        said = "Every promise held" if held else failure or "A promise was broken"
        self.say(f"{said.rstrip('.')} ({seconds:.0f} s).")
        return held

    def _close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None
