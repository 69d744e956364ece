"""The Python client of a node on this machine: the table of operations as methods.

``Client().signal.deposit("echo", body={"say": "hi"})`` asks the node whose home it is,
over the Unix socket in the home, with the standard library alone. Methods are rendered
from the table, so that nothing is spelled twice. What the node refuses is raised as
the same error a call inside the node would raise. One client may be shared by threads.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, cast

from nestmate.errors import (
    DeniedError,
    NodeError,
    NotFoundError,
    NotRunningError,
    TimedOutError,
    UsageError,
)
from nestmate.operations.methods import Methods
from nestmate.operations.table import BY_NAME

if TYPE_CHECKING:
    from nestmate.home import Home
    from nestmate.operations.events import Event, EventPage
    from nestmate.operations.fields import Response
    from nestmate.operations.row import Operation

# A node that is silent for so much longer than it was told to wait is stuck. No
# operation that was told nothing waits longer than half of it.
PATIENCE_SECONDS: Final = 60.0
WAIT_SECONDS_MAX: Final = 300.0
CONNECT_SECONDS_MAX: Final = 5.0

Kind = Literal["cli", "python"]


class Cord:
    """Lets another thread end one call that waits; once pulled, it stays so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._how: int | None = None

    def __repr__(self) -> str:
        return f"<Cord {'pulled' if self.is_pulled else 'slack'}>"

    @property
    def is_pulled(self) -> bool:
        """Whether the call was ended from outside."""
        return self._how is not None

    def pull(self) -> None:
        """Let the node know that nobody waits; an answer it has given still comes."""
        self._shut(socket.SHUT_WR)

    def cut(self) -> None:
        """End the call at once, whatever the node does."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        with self._lock:
            self._how = how
            if self._sock is not None:
                with suppress(OSError):
                    self._sock.shutdown(how)

    @contextmanager
    def tied(self, sock: socket.socket) -> Iterator[None]:
        """Inside, the call that talks through ``sock`` can be ended."""
        with self._lock:
            self._sock = sock
        try:
            if self.is_pulled:
                raise NotRunningError("The call was ended before it began.")
            yield
        finally:
            with self._lock:
                self._sock = None


class Client(Methods):
    """A node on this machine, by its home: a folder, NESTMATE_HOME, or the usual one.

    Making a client touches neither disk nor node. Every method may raise
    NotRunningError; ``kind`` tells the node's log which door it was.
    """

    def __init__(
        self, home: str | os.PathLike[str] | None = None, *, kind: Kind = "python"
    ) -> None:
        self._home = None if home is None else os.fspath(home)
        self._kind = kind
        super().__init__()

    def __repr__(self) -> str:
        return f"<Client {self.home.root}>"

    @cached_property
    def home(self) -> "Home":
        """The home whose node is asked."""
        from nestmate.home import Home  # noqa: PLC0415 - not needed to look at methods

        return Home.resolve(self._home, os.environ)

    def call(self, name: str, fields: Mapping[str, object] | None = None) -> "Response":
        """The response to an operation, of the type the table names."""
        import msgspec  # noqa: PLC0415 - the first call loads it, not the import

        operation = _operation(name)
        raw = self.raw(name, fields)
        return msgspec.json.decode(raw, type=operation.response)

    def raw(
        self,
        name: str,
        fields: Mapping[str, object] | None = None,
        cord: Cord | None = None,
    ) -> bytes:
        """The response to an operation, as the JSON the node sent.

        ``cord`` ends the call from another thread, which raises NotRunningError here.
        """
        operation = _operation(name)
        given = {key: item for key, item in (fields or {}).items() if item is not None}
        wait, target, body = _wait(given), operation.path, None
        if operation.method == "GET":
            target += _query(given)
        else:
            import msgspec  # noqa: PLC0415 - as above

            body = msgspec.json.encode(given)
        return self._fetch(operation.method, target, body, wait, cord or Cord())

    def pages(
        self, name: str = "event.wait", fields: Mapping[str, object] | None = None
    ) -> Iterator["EventPage"]:
        """Pages of a stream operation for ever, each after the one before.

        A page may be empty: time was up. The first comes at once and tells where the
        stream begins.
        """
        wish: dict[str, object] = {"timeout": 0, **(fields or {})}
        while True:
            page = cast("EventPage", self.call(name, wish))
            yield page
            wish |= {"since": page.seq, "timeout": (fields or {}).get("timeout", 30)}

    def follow(
        self, name: str = "event.wait", fields: Mapping[str, object] | None = None
    ) -> Iterator["Event"]:
        """Events for ever; raises NodeError if some were lost before they were read."""
        for page in self.pages(name, fields):
            if page.lagged:
                raise NodeError(
                    "Events were lost before they could be read.",
                    f"Go on with those since {page.seq}, and look at the state itself.",
                )
            yield from page.events

    def is_ready(self) -> bool:
        """Whether the node runs and its network is up."""
        try:
            self._fetch("GET", "/readyz", None, 0.0, Cord())
        except NodeError:
            return False
        return True

    def _fetch(
        self,
        method: str,
        target: str,
        body: bytes | None,
        wait_seconds: float,
        cord: Cord,
    ) -> bytes:
        import http.client  # noqa: PLC0415 - the first call loads it, not the import

        headers = {"Host": "localhost", "User-Agent": f"nestmate-{self._kind}/1"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        with closing(http.client.HTTPConnection("localhost")) as connection:
            connection.sock = _connect(self.home)
            connection.sock.settimeout(PATIENCE_SECONDS + wait_seconds)
            try:
                with cord.tied(connection.sock):
                    with suppress(BrokenPipeError):  # refused before it was all sent
                        connection.request(method, target, body, headers)
                    answer = connection.getresponse()
                    said = answer.read()
            except TimeoutError:
                raise TimedOutError(
                    f"The node did not answer for {PATIENCE_SECONDS:g} seconds.",
                    f"It may be stuck: look into {self.home.log_file}.",
                ) from None
            except (OSError, http.client.HTTPException) as error:
                raise NotRunningError(
                    f"The node went away before it answered ({error}).",
                    "Start it again with `nestmate up`.",
                ) from error
        if answer.status != http.client.OK:
            raise _error(said, answer.status)
        return said


def _operation(name: str) -> "Operation":
    try:
        return BY_NAME[name]
    except KeyError:
        raise NotFoundError(
            f"There is no operation {name!r}.", "See docs/reference/operations.md."
        ) from None


def _wait(fields: Mapping[str, object]) -> float:
    """How long the node was told to wait, in seconds; 0 if it was not told."""
    told = fields.get("timeout", 0)
    seconds = 0.0
    if isinstance(told, int | float):
        seconds = told
    elif isinstance(told, str):
        from nestmate.texts import parse_duration_ms  # noqa: PLC0415 - as above

        with suppress(UsageError):  # the node says what is wrong with it
            text = told if told[-1:].isalpha() else f"{told}s"
            seconds = parse_duration_ms(text) / 1000
    return min(max(0.0, seconds), WAIT_SECONDS_MAX)


def _query(fields: Mapping[str, object]) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415 - http.client loads it anyway

    plain = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in fields.items()
    }
    return f"?{urlencode(plain, doseq=True)}" if plain else ""


def _connect(home: "Home") -> socket.socket:
    path = home.api_socket
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(CONNECT_SECONDS_MAX)
        sock.connect(os.fspath(path))
    except PermissionError as error:
        sock.close()
        raise DeniedError(
            f"{path} belongs to somebody else.", "Run this as the user of the node."
        ) from error
    except OSError as error:
        sock.close()
        raise NotRunningError(
            f"No node runs in {home.root}.",
            "Start it with `nestmate up`, or name another home with --home.",
        ) from error
    return sock


def _error(said: bytes, status: int) -> NodeError:
    import msgspec  # noqa: PLC0415 - as above

    from nestmate.operations.problems import Problem, error_of  # noqa: PLC0415 - as above

    try:
        return error_of(msgspec.json.decode(said, type=Problem))
    except msgspec.MsgspecError:
        return NodeError(f"The node answered with HTTP status {status}.")
