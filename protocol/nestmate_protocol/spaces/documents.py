"""Documents: reading and writing in one space, for the agents of this node.

What is written goes into one op, under one grant that covers all of it, or nothing is
written. What is read is what the ops held here come to. This file knows no peers and
nothing of who may join.
"""

from collections.abc import Callable, Sequence
from itertools import islice

from nestmate_protocol.clocks import Moment
from nestmate_protocol.errors import LocalError
from nestmate_protocol.grants import Rights
from nestmate_protocol.keys import SECRET_BYTES
from nestmate_protocol.limits import (
    EPHEMERAL_TTL_MS_MAX,
    MUTATIONS_PER_OP_MAX,
    PATH_BYTES_MAX,
    SHOWN_MAX,
)
from nestmate_protocol.spaces.copies import Copies, Copy
from nestmate_protocol.spaces.engine.changes import Verdict
from nestmate_protocol.spaces.epochs import Epochs
from nestmate_protocol.spaces.histories import Historian, reading
from nestmate_protocol.spaces.keyring import Secret, secret_of
from nestmate_protocol.spaces.ops import Dot, Mutation, Op, Type, check_path
from nestmate_protocol.spaces.pen import Pen, Written
from nestmate_protocol.spaces.reading import Reading
from nestmate_protocol.spaces.refusals import ForbiddenError, MissingError
from nestmate_protocol.spaces.requests import (
    Changed,
    DocumentView,
    DocumentViews,
    ExplainPath,
    Explanation,
    ListConflicts,
    ListPaths,
    ListVoid,
    Nearest,
    ReadNearest,
    ReadPath,
    ShowHistory,
    WriteChanges,
    WriteViews,
)
from nestmate_protocol.spaces.types import Entry, register
from nestmate_protocol.spaces.types.rules import right_for
from nestmate_protocol.spaces.versions import read_version, version_of
from nestmate_protocol.spaces.writing import Draft, mutation_for

Request = (
    ReadPath
    | ReadNearest
    | WriteChanges
    | ListPaths
    | ShowHistory
    | ListConflicts
    | ListVoid
    | ExplainPath
)
_WORDS = {Rights.WRITE: "write", Rights.RULE: "rule"}


class Documents:
    """Reads and writes documents."""

    def __init__(self, pen: Pen, copies: Copies, epochs: Epochs) -> None:
        self._pen = pen
        self._epochs = epochs
        self._copies = copies

    def __repr__(self) -> str:
        return f"<Documents, written with {self._pen!r}>"

    def answer(self, copy: Copy, body: Request, now: Moment) -> object:
        """The answer to a request on one space."""
        match body:
            case ReadPath():
                return self._read(copy, body, now)
            case ReadNearest(_, paths):
                return _nearest(copy, paths)
            case WriteChanges():
                return self.write(copy, body, now)
            case ListPaths(_, prefix, after, limit):
                return self._listed(copy, prefix, after, min(limit, SHOWN_MAX), now)
            case ShowHistory(_, path, limit):
                return Historian(copy, now).of_path(path, min(limit, SHOWN_MAX))
            case ListConflicts(_, limit):
                return self._conflicts(copy, min(limit, SHOWN_MAX), now)
            case ListVoid(_, limit):
                found: WriteViews = Historian(copy, now).void(min(limit, SHOWN_MAX))
                return found
            case ExplainPath(_, path):
                document = reading(copy, now).document(path, None)
                words = Historian(copy, now).explained(path, document)
                return Explanation(tuple(words))

    def write(self, copy: Copy, body: WriteChanges, now: Moment) -> Changed:
        """One op with all changes; raises LocalError and writes nothing otherwise."""
        if not 1 <= len(body.changes) <= MUTATIONS_PER_OP_MAX:
            raise LocalError(f"write 1 to {MUTATIONS_PER_OP_MAX} changes at once")
        if copy.engine.rights.genesis is None:
            raise LocalError(
                "this space has not been fetched from anybody yet",
                "wait until a member is connected: `nestmate space show`",
            )
        read: list[Entry] = []

        def live(path: str, kind: Type) -> Sequence[Entry]:
            entries = copy.engine.views.live(path, kind)
            read.extend(entries)
            return entries

        draft = Draft(
            self._pen.key.public, self._pen.incarnation, now, live, self._pen.entropy
        )
        written = [mutation_for(change, draft) for change in body.changes]
        cap = self._cap_for(copy, [mutation for mutation, _ in written], now)
        lasting_ms = 0
        if body.ephemeral_seconds:
            lasting_ms = _lasting_ms(body.ephemeral_seconds)

        def signed(secret: Secret | None) -> Op:
            whole = Written(written, cap, secret)
            if lasting_ms:
                return self._pen.say(copy, whole, now, now.wall_ms + lasting_ms)
            return self._pen.write(copy, whole, now, read)

        op = self._sealed(copy, signed, now)
        if self._copies.keep_own(copy, op, now).verdict is not Verdict.NEW:
            raise LocalError(
                "this write would not count",
                "see `nestmate space members` for what this agent may do",
            )
        dots = [op.dot(n) for n in range(len(written))]
        return Changed(copy.listing.space, op.id, version_of(dots))

    def _sealed(
        self, copy: Copy, signed: Callable[[Secret | None], Op], now: Moment
    ) -> Op:
        """An op signed with the secret it takes, if the space is a private one.

        A new secret is made only for an op that can be: it is tried with another first.
        """
        if not copy.engine.is_private:
            return signed(None)
        secret = self._epochs.secret_for(copy, now)
        if secret is None:
            signed(secret_of(copy.listing.space, bytes(SECRET_BYTES)))
            secret = self._epochs.renew(copy, now)
        return signed(secret)

    def _cap_for(
        self, copy: Copy, mutations: Sequence[Mutation], now: Moment
    ) -> Dot | None:
        """A grant of ours that covers all mutations; None as a founder."""
        desk, me = copy.engine.rights, self._pen.key.public
        if desk.is_founder(me):
            return None
        first = mutations[0]
        right = right_for(first)
        cap = desk.best_cap(me, first.path, first.type, right, now)
        for each in mutations:
            needed = right_for(each)
            found = desk.best_cap(me, each.path, each.type, needed, now)
            if found is None:
                raise ForbiddenError(
                    f"this agent may not write {each.path[:80]}",
                    f"it takes a grant to {_WORDS[needed]} {each.path[:80]}: "
                    "a founder gives it by `nestmate space grant SPACE WHO "
                    f"{_WORDS[needed]} --paths {each.path[:80]}`",
                )
            if found != cap:
                raise ForbiddenError(
                    "no single grant covers all of these changes",
                    "write them one by one",
                )
        return cap

    def _read(self, copy: Copy, body: ReadPath, now: Moment) -> DocumentView:
        path = body.path
        check_path(path)
        look = reading(copy, now)
        if body.version:
            return _as_written(look, body)
        document = look.document(path, body.type)
        if document is None:
            if copy.engine.views.sizes().sealed:
                raise MissingError(
                    f"nothing that can be read here stands at {path[:80]}",
                    "some writes are sealed, and this node was not given the secret; "
                    "`nestmate space members` says who may let others read",
                )
            below = next(copy.engine.views.objects(f"{path}/"), None)
            raise MissingError(
                f"nothing stands at {path[:80]}",
                f"`nestmate ls {copy.listing.name} {path[:80]}` shows what is below it"
                if below
                else "see `nestmate ls` for what there is",
            )
        return document

    def _listed(
        self, copy: Copy, prefix: str, after: str, limit: int, now: Moment
    ) -> DocumentViews:
        """Documents at and below a path, in order of paths and types."""
        look = reading(copy, now)
        found: list[DocumentView] = []
        last = (after, max(Type)) if after else None
        for path, kind in copy.engine.views.objects(prefix, last):
            if prefix and path != prefix and not path.startswith(f"{prefix}/"):
                continue
            if path.startswith(".") and not prefix.startswith("."):
                continue
            if len(found) == limit:
                return DocumentViews(tuple(found), more=True)
            found.append(look.shown(path, kind, copy.engine.views.live(path, kind)))
        return DocumentViews(tuple(found))

    def _conflicts(self, copy: Copy, limit: int, now: Moment) -> DocumentViews:
        look = reading(copy, now)
        shown = (
            document
            for path in copy.engine.views.conflicts()
            if (document := look.document(path, Type.REGISTER)) is not None
            and document.conflict
        )
        found = tuple(islice(shown, limit + 1))
        return DocumentViews(found[:limit], more=len(found) > limit)


def _as_written(look: Reading, body: ReadPath) -> DocumentView:
    """What was written to a path as one version, whatever stands there now."""
    document = look.written(body.path, read_version(body.version))
    if document is None or body.type not in {None, document.type}:
        raise MissingError(
            f"nothing that counts was written to {body.path[:80]} as this version",
            "`nestmate history` lists what was, and why some of it does not count",
        )
    return document


def _nearest(copy: Copy, paths: Sequence[str]) -> Nearest:
    """The first of these paths with a register, and what that shows."""
    for path in paths[: PATH_BYTES_MAX // 2 + 2]:
        shown = register.view(copy.engine.views.live(path, Type.REGISTER)).shown
        if shown:
            return Nearest(path, shown[0].value)
    return Nearest("", None)


def _lasting_ms(seconds: float) -> int:
    """How long an ephemeral document is there."""
    if not 0 < seconds * 1_000 <= EPHEMERAL_TTL_MS_MAX:
        raise LocalError(
            f"{seconds} is no time for a document to be there",
            f"give seconds, {EPHEMERAL_TTL_MS_MAX // 1_000} at most",
        )
    return int(seconds * 1_000)
