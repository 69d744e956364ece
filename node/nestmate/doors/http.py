"""The HTTP door: Starlette on Hypercorn, over the Unix socket of the home.

Every route is a row of the table of operations. A web page must not be able to call:
Host and Origin are checked before anything else, a body must say that it is JSON, and
no cross-origin header is ever sent. This file adds no verb of its own; it is the only
importer of starlette and hypercorn.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nestmate.doors.metrics import metrics
from nestmate.doors.openapi import openapi
from nestmate.doors.unix import Starting, serve_unix
from nestmate.errors import (
    DeniedError,
    NodeError,
    NotFoundError,
    TimedOutError,
    UsageError,
)
from nestmate.operations.parameters import parameters
from nestmate.operations.perform import Caller, Meter, Node, decode, perform
from nestmate.operations.problems import problem_of
from nestmate.operations.row import Operation
from nestmate.operations.runs.asking import answer
from nestmate.operations.table import OPERATIONS
from nestmate_protocol.directory.requests import ShowStatus, StatusView

if TYPE_CHECKING:
    from nestmate.operations.events import EventPage

_log = logging.getLogger("nestmate.doors")

BODY_BYTES_MAX: Final = 128 * 1024
BODY_SECONDS_MAX: Final = 30.0
READY_SECONDS_MAX: Final = 5.0
STREAM_IDLE_SECONDS: Final = 15.0
GRACE_SECONDS: Final = 1.0
KEEP_ALIVE_SECONDS: Final = 60
SEQ_DIGITS_MAX: Final = 18
GONE: Final = 499  # the status of an answer nobody reads
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Recognise = Callable[[Scope], Caller | None]


async def serve_http(
    node: Node,
    *,
    meter: Meter | None = None,
    users: frozenset[int] | None = None,
    task_status: Starting = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the home's API socket until cancelled; started once it listens."""
    app: Any = application(node, meter or Meter(), caller_of_socket)
    context = WorkerContext(None)
    config = _server_config()

    # Hypercorn's types know TLS streams and TypedDict scopes only, hence ``Any``.
    async def talk(stream: Any, uid: int) -> None:
        state = ConnectionState({"uid": uid})
        await _Talk(ASGIWrapper(app), config, context, state, stream).run()

    await serve_unix(
        node.home.api_socket,
        talk,
        users=users,
        grace_seconds=GRACE_SECONDS,
        on_closing=context.terminated.set,  # lets go of idle connections
        task_status=task_status,
    )


class _Talk(TCPServer):
    """Hypercorn's side of one connection, over as soon as the other side is gone.

    Hypercorn itself keeps a connection whose caller has left for the whole keep-alive
    time, so that a few hundred short calls in a minute would leave no room for more.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left = trio.Event()

    async def _read_data(self) -> None:
        try:
            await super()._read_data()
        finally:
            self._left.set()

    async def _idle_timeout(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_left, nursery.cancel_scope)
            await super()._idle_timeout()
            nursery.cancel_scope.cancel()

    async def _cancel_when_left(self, scope: trio.CancelScope) -> None:
        await self._left.wait()
        scope.cancel()


def _server_config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = _log
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    return config


def caller_of_socket(scope: Scope) -> Caller:
    """Who talks through the Unix socket: the kernel has said which user it is."""
    agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")
    kind, _, _ = agent.removeprefix("nestmate-").partition("/")
    known = kind if kind in {"cli", "python"} else "http"
    return Caller(known, uid=scope["state"]["uid"])  # type: ignore[arg-type]  # checked in the line above


def application(node: Node, meter: Meter, recognise: Recognise) -> ASGIApp:
    """The ASGI application; ``recognise`` says who calls, None for nobody we know."""
    return _Guard(_Rooms(node, meter).app(), recognise)


class _Guard:
    """Lets through what a program on this machine asks, and nothing a web page asks."""

    def __init__(self, app: ASGIApp, recognise: Recognise) -> None:
        self._app = app
        self._recognise = recognise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        # The body is taken first even if nobody will look at it: a caller that is
        # still sending when the door answers and closes never reads the answer.
        body = await _read_body(receive)
        if body is None:
            return
        scope["state"]["body"] = body
        refusal = body if isinstance(body, Response) else self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if _name_of(host) not in LOOPBACK_NAMES:
            refusal = DeniedError(
                f"This door does not answer to the name {host[:80]!r}.",
                "Send `Host: localhost`.",
            )
            return _problem(refusal, 421)
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        foreign = origin is not None and _netloc_of(origin) != host
        if foreign or site not in {"none", "same-origin"}:
            return _problem(
                DeniedError(
                    "Web pages of other origins may not call this node.",
                    "Call from a program on this machine.",
                )
            )
        caller = self._recognise(scope)
        if caller is None:
            refusal = DeniedError("Who calls?", "Send `Authorization: Bearer TOKEN`.")
            return _problem(refusal, 401)
        scope["state"]["caller"] = caller
        return None


class _Rooms:
    """What there is behind the guard: the operations, and the node's own figures."""

    def __init__(self, node: Node, meter: Meter) -> None:
        self._node = node
        self._meter = meter
        self._document = msgspec.json.encode(openapi(metadata.version("nestmate")))

    def app(self) -> Starlette:
        by_path: dict[str, dict[str, Operation]] = {}
        for row in OPERATIONS:
            by_path.setdefault(row.path, {})[row.method] = row
        routes = [
            Route(path, partial(self._operate, rows), methods=list(rows))
            for path, rows in by_path.items()
        ]
        routes += [
            Route("/openapi.json", self._openapi),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
        ]
        app = Starlette(
            routes=routes, exception_handlers={HTTPException: _http_exception}
        )
        app.router.redirect_slashes = False
        return app

    async def _operate(self, rows: dict[str, Operation], request: Request) -> Response:
        row = rows["GET" if request.method == "HEAD" else request.method]
        if row.method == "GET":
            work = partial(self._read, row, request)
        else:
            work = partial(self._run, row, _json_body(request), request)
        return await _unless_gone(request, work)

    async def _read(self, row: Operation, request: Request) -> Response:
        # Queries are text; decoding here reads numbers and flags from it.
        wish = decode(row, _query(row, request), lax=True)
        payload: dict[str, Any] = msgspec.to_builtins(wish)
        if not row.stream or not _wants_stream(request):
            return await self._run(row, payload, request)
        payload["since"] = _last_event_id(request, payload["since"])
        return _Stream(self._server_sent(row, payload, request.state.caller))

    async def _run(
        self, row: Operation, payload: bytes | dict[str, Any], request: Request
    ) -> Response:
        caller = request.state.caller
        response = await self._perform(row, payload, caller)
        return _json(msgspec.json.encode(response))

    async def _perform(
        self, row: Operation, payload: bytes | dict[str, Any], caller: Caller
    ) -> object:
        return await perform(self._node, row.name, payload, caller, meter=self._meter)

    async def _server_sent(
        self, row: Operation, payload: dict[str, Any], caller: Caller
    ) -> AsyncGenerator[bytes]:
        """Pages of events for ever, as Server-Sent Events.

        Each reader follows at its own pace and is never waited for; one that fell
        behind what is kept is told so by a ``lagged`` event.
        """
        payload["timeout"] = 0.0
        said_hello = False
        while True:
            try:
                page = cast("EventPage", await self._perform(row, payload, caller))
            except NodeError as error:
                yield _sse("problem", msgspec.json.encode(problem_of(error)))
                return
            if not said_hello:
                begin = page.events[0].seq - 1 if page.events else page.seq
                start = begin if payload["since"] is None else payload["since"]
                yield _sse("hello", msgspec.json.encode({"seq": start}), start)
                said_hello = True
            if page.lagged:
                since = {"since": payload["since"]}
                yield _sse("lagged", msgspec.json.encode(since), page.seq)
            for event in page.events:
                yield _sse(event.type, msgspec.json.encode(event), event.seq)
            if not page.events and payload["timeout"]:
                yield b": still here\n\n"
            payload |= {"since": page.seq, "timeout": STREAM_IDLE_SECONDS}

    async def _openapi(self, _request: Request) -> Response:
        return _json(self._document)

    async def _health(self, _request: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def _ready(self, request: Request) -> Response:
        return await _unless_gone(request, self._check_ready)

    async def _check_ready(self) -> Response:
        view = await self._status()
        if not view.multiaddrs:
            return _problem(NodeError("The network is not up yet.", "Wait."), 503)
        return _json(b'{"status":"ready"}')

    async def _metrics(self, request: Request) -> Response:
        return await _unless_gone(request, self._show_metrics)

    async def _show_metrics(self) -> Response:
        text = metrics(await self._status(), self._meter, self._node.events.last_seq)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def _status(self) -> StatusView:
        with trio.move_on_after(READY_SECONDS_MAX):
            return await answer(self._node, ShowStatus(), StatusView)
        raise TimedOutError("The node does not answer.", "Look into its log.")


class _Stream(Response):
    """A response that goes on until the reader leaves."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._chunks = chunks

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async with trio.open_nursery() as nursery, aclosing(self._chunks) as chunks:
            nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
            async for chunk in chunks:
                part = {"body": chunk, "more_body": True}
                await send({"type": "http.response.body", **part})
            nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _unless_gone(
    request: Request, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do the work, and leave it when the caller goes away."""
    response = Response(status_code=GONE)  # read by nobody
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_gone, request.receive, nursery.cancel_scope)
        response = await _guarded(work)
        nursery.cancel_scope.cancel()
    return response


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    scope.cancel()


async def _guarded(work: Callable[[], Awaitable[Response]]) -> Response:
    """What the work answers, or the problem it met; a bug costs one request."""
    try:
        return await work()
    except NodeError as error:
        return _problem(error)
    except Exception as bug:  # noqa: BLE001 - the guarded border of this door
        _log.exception("a request met a bug")
        sentence = f"This is a bug in nestmate: {bug!r}"
        return _problem(NodeError(sentence, "Look into the log and report it."))


def _query(row: Operation, request: Request) -> dict[str, Any]:
    """The query as values of the request; a name given twice must take several."""
    several = {item.name for item in parameters(row) if item.kind == "texts"}
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in several:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise UsageError(f"`{name}` is given twice.", "Give it once.")
        else:
            values[name] = value
    return values


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _last_event_id(request: Request, since: int | None) -> int | None:
    """Where a reconnecting reader left off; its header wins over the query."""
    last = request.headers.get("last-event-id", "")
    if not last:
        return since
    if not last.isdecimal() or len(last) > SEQ_DIGITS_MAX:
        raise UsageError(
            f"Last-Event-ID {last[:40]!r} is not the number of an event.",
            "Send the `id` of the last event you have read.",
        )
    return int(last)


async def _read_body(receive: Receive) -> bytes | Response | None:
    """The body, or why it is not taken; None if the caller went away meanwhile."""
    body = bytearray()
    with trio.move_on_after(BODY_SECONDS_MAX):
        while len(body) <= BODY_BYTES_MAX:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message["body"]
            if not message["more_body"]:
                return bytes(body)
        sentence = f"The body exceeds {BODY_BYTES_MAX} bytes."
        return _problem(UsageError(sentence, "Send less."), 413)
    sentence = f"The body took more than {BODY_SECONDS_MAX:g} seconds."
    return _problem(UsageError(sentence, "Send it at once."), 408)


def _json_body(request: Request) -> bytes:
    """The body of a POST; HTTPException unless it says that it is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"The body is {kind[:80] or 'of no type'}, not JSON.")
    body: bytes = request.state.body
    return body


async def _http_exception(request: Request, error: Exception) -> Response:
    """What went wrong before an operation was found, as a problem document."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
    status = error.status_code
    if status == HTTPStatus.NOT_FOUND:
        problem: NodeError = NotFoundError(
            f"There is nothing at {request.url.path[:80]!r}.", "See /openapi.json."
        )
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = UsageError(
            f"{request.method} does not work here.", "See /openapi.json."
        )
    else:
        problem = UsageError(error.detail, "Send `Content-Type: application/json`.")
    response = _problem(problem, status)
    response.headers.update(error.headers or {})
    return response


def _problem(error: NodeError, status: int | None = None) -> Response:
    problem = problem_of(error, status)
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )


def _json(body: bytes) -> Response:
    return Response(
        body, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _sse(kind: str, data: bytes, number: int | None = None) -> bytes:
    mark = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (mark, kind.encode(), data)


def _name_of(host: str) -> str:
    """The host name in a Host header, without its port; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
