"""Reacting: a command is run on every event of a cursor, at least once.

One thread reads pages, others run the command, and the cursor is moved once everything
up to its new place is done. What fails is tried again after growing pauses and then
given up, which the node remembers; tries while the node was away do not count. When it
is over, commands are ended with all they started, and their events come again next
time. This file knows no event by name.
"""

import json
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from nestmate.cli.bell import Bell
from nestmate.cli.job import Job
from nestmate.cli.ledger import Entry, Ledger
from nestmate.cli.line import Line
from nestmate.client import Cord
from nestmate.errors import NodeError, NotFoundError, NotRunningError
from nestmate_protocol.limits import REASON_CHARS_MAX

PAGE_EVENTS: Final = 64
PAGE_SECONDS: Final = 25.0
LOOK_SECONDS: Final = 0.25
PAUSE_SECONDS_MAX: Final = 60.0
OUTPUT_BYTES_MAX: Final = 1024 * 1024
_DOUBLINGS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Order:
    """What to do about the events of a cursor: how often, and how many at a time."""

    home: str
    cursor: str
    command: tuple[str, ...]
    jobs: int
    tries: int
    pause_seconds: float
    grace_seconds: float
    once: bool
    shows_output: bool


class Reaction:
    """Reads and runs until told to end, or with ``once`` until it has caught up."""

    def __init__(self, order: Order, line: Line) -> None:
        self._order = order
        self._line = line
        self._bell = Bell()
        self._ledger = Ledger(order.jobs)
        self._reading: Cord | None = None
        self._lock = threading.Lock()
        self._given_up = 0

    def __repr__(self) -> str:
        return f"<Reaction of {self._order.cursor}>"

    def run(self) -> None:
        """React until a signal comes, all is done, or something breaks."""
        self._bell.listen()
        with ThreadPoolExecutor(self._order.jobs + 1) as threads:
            work = [self._read, *[self._react] * self._order.jobs]
            ends = [threads.submit(each) for each in work]
            for end in ends:
                end.add_done_callback(lambda _: self._bell.knock())
            rung = self._await(ends)
            self._stop()
        for end in ends:
            end.result()
        if rung:
            self._line.tell(what="stopped", cursor=self._order.cursor)
        if self._given_up and self._order.once:
            raise NodeError(
                f"Given up: {self._given_up} of the events.",
                f"See `nestmate event dead ls {self._order.cursor}`.",
            )

    def _await(self, ends: list[Future[None]]) -> bool:
        """Until all threads have ended; whether a signal asked for it.

        A second signal ends what is still going on without waiting for it.
        """
        rung = False
        while not all(end.done() for end in ends):
            if self._bell.wait():
                if rung:
                    self._line.hurry()
                rung = True
                self._stop()
            elif any(end.done() and end.exception() for end in ends):
                self._stop()
        return rung

    def _stop(self) -> None:
        self._line.stopping.set()
        self._ledger.close()
        with self._lock:
            if self._reading is not None:
                self._reading.pull()

    # --- the thread that reads

    def _read(self) -> None:
        since: int | None = None
        while (page := self._next_page(since)) is not None:
            if page["lagged"]:
                self._line.tell(what="lagged", cursor=self._order.cursor)
            for event in page["events"]:
                if not self._ledger.put(event):
                    return
            self._ack(self._ledger.turn_page(page["seq"]), since or 0)
            since = page["seq"]
            if self._order.once and not page["events"]:
                self._ledger.finish()
                return

    def _next_page(self, since: int | None) -> dict[str, Any] | None:
        with self._lock:
            cord = self._reading = Cord()
        if self._line.stopping.is_set():
            return None
        wish = {
            "cursor": self._order.cursor,
            "since": since,
            "timeout": 0 if self._order.once else PAGE_SECONDS,
            "limit": PAGE_EVENTS,
        }
        try:
            return self._line.ask_patiently("event.wait", wish, cord)
        except NodeError:
            if cord.is_pulled:
                return None
            raise

    def _ack(self, seq: int | None, known: int = 0) -> None:
        if seq is not None and seq > known:
            wish = {"cursor": self._order.cursor, "seq": seq}
            self._line.ask_patiently("event.ack", wish)

    # --- the threads that run the command

    def _react(self) -> None:
        while (entry := self._ledger.take()) is not None:
            if not self._deal_with(entry):
                return
            self._ack(self._ledger.settle(entry))

    def _deal_with(self, entry: Entry) -> bool:
        """Run the command until it succeeds or is given up; False if it is over."""
        event, order, tell = entry.event or {}, self._order, self._line.tell
        news = {"seq": entry.seq, "type": event["type"]}
        tried = 0
        while tried < order.tries:
            why = self._run(event, tried + 1)
            if why is None:
                return False
            if not why:
                tell(what="done", **news)
                return True
            if self._is_node_away():
                tell(what="away", **news, why=why)
                self._line.ask_patiently("version", {})
                continue
            tried += 1
            tell(what="failed", **news, tries=tried, why=why)
            doubled = order.pause_seconds * 2.0 ** min(tried - 1, _DOUBLINGS_MAX)
            if tried < order.tries and self._line.stopping.wait(
                min(PAUSE_SECONDS_MAX, doubled)
            ):
                return False
        wish = {"cursor": order.cursor, "seq": entry.seq, "tries": order.tries}
        try:
            self._line.ask_patiently("event.reject", wish | {"reason": why})
        except NotFoundError as gone:  # it was at work for longer than events are kept
            tell(what="gone", **news, why=str(gone))
            return True
        with self._lock:
            self._given_up += 1
        tell(what="gave-up", **news, why=why)
        return True

    def _is_node_away(self) -> bool:
        """Whether there is no node just now.

        A command that talks to it fails for as long as it is away, however often it is
        tried, and that says nothing against the event.
        """
        try:
            self._line.ask("version", {})
        except NotRunningError:
            return True
        return False

    def _run(self, event: Mapping[str, Any], tried: int) -> str | None:
        """Why the command failed, empty if it did not; None if it had to stop."""
        order = self._order
        given = json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n"
        try:
            job = Job(
                order.command,
                given,
                self._environment(event, tried),
                grace_seconds=order.grace_seconds,
            )
        except OSError as error:
            return f"{order.command[0]}: {error.strerror}"
        with job:
            while (code := job.wait(LOOK_SECONDS)) is None:
                if self._line.stopping.is_set():
                    job.end(self._line.hurried.is_set)
                    return None
            if order.shows_output:
                self._show(job.output(OUTPUT_BYTES_MAX))
            if code == 0:
                return ""
            why = job.complaints(REASON_CHARS_MAX)
            return f"exit code {code}: {why}".rstrip(": ")[:REASON_CHARS_MAX]

    def _show(self, output: bytes | None) -> None:
        """All that a command printed, not mixed with what others print."""
        if output is None:
            output = f"(more than {OUTPUT_BYTES_MAX} bytes of output)\n".encode()
        with self._lock:
            sys.stdout.write(output.decode(errors="replace"))
            sys.stdout.flush()

    def _environment(self, event: Mapping[str, Any], tried: int) -> dict[str, str]:
        details = event["details"]
        return {
            "NESTMATE_HOME": self._order.home,
            "NESTMATE_EVENT_SEQ": str(event["seq"]),
            "NESTMATE_EVENT_TYPE": event["type"],
            "NESTMATE_AUTHOR": event["author"] or "",
            "NESTMATE_REF": event["ref"] or "",
            "NESTMATE_SPACE": str(details.get("space") or ""),
            "NESTMATE_PATH": str(details.get("path") or ""),
            "NESTMATE_TRY": str(tried),
        }
