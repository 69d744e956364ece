"""Rows of the table of operations: the event feed."""

from nestmate.operations.row import Operation

ROWS: tuple[Operation, ...] = (
    Operation(
        name="event.wait",
        asks="events:EventWait",
        answers="events:EventPage",
        run="events:wait",
        help="Wait for events, or read those that were missed.",
        path="/v1/events",
        scope="read",
        tool="events_wait",
        stream=True,
    ),
)
