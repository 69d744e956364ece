"""The human form of answers: a table where there are many, lines where there is one.

Keyed by operation; what has no form of its own is shown field by field. This form
may change at any time; scripts use ``--json``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nestmate.cli.documents import bytes_of, text_of
from nestmate.cli.output import show_fields, show_lines, show_notes, show_table
from nestmate.cli.reasons import show_reasons, show_task

Answer = Mapping[str, Any]


def show_human(name: str, answer: Answer) -> None:
    """Print one answer for people."""
    _FORMS.get(name, show_fields)(answer)


def event_line(event: Answer) -> str:
    """One event on one line."""
    details = " ".join(f"{key}={value}" for key, value in event["details"].items())
    parts = (event["at"], event["type"], event["ref"], details)
    return "  ".join(part for part in parts if part)


def _table(
    key: str, empty: str, **columns: Callable[[Answer], object]
) -> Callable[[Answer], None]:
    def show(answer: Answer) -> None:
        rows = [
            [
                "" if (cell := column(row)) is None else str(cell)
                for column in columns.values()
            ]
            for row in answer[key]
        ]
        headings = [name.replace("_", " ").upper() for name in columns]
        show_table(headings, rows, empty=empty)

    return show


def _seconds(value: float) -> str:
    return f"{value:.0f} s"


def _of(author: Answer, figure: str) -> str:
    """A figure of credit; nothing where none is kept."""
    return figure if author["credit_max"] else ""


def _findings(answer: Answer) -> None:
    for finding in answer["findings"]:
        show_lines(f"{finding['severity']:<8}{finding['text']}")
        if finding["hint"]:
            show_lines(f"{'':8}{finding['hint']}")


def _events(answer: Answer) -> None:
    show_lines(*map(event_line, answer["events"]))


def _document(answer: Answer) -> None:
    """The value, as it is; what there is to say about it goes to standard error."""
    show_lines(*text_of(answer["value"]).split("\n"))
    notes = [f"{answer['type']} · version {answer['version']}"]
    source = answer["provenance"]
    if source is not None:
        notes.append(f"by {source['author']} at {source['at']}")
    if answer["schema_ok"] is False:
        notes.append("it does not fit its schema")
    notes += answer["flags"]
    if answer["conflict"]:
        for other in answer["alternatives"][1:]:
            said = text_of(other["value"])
            notes.append(f"but {said} by {other['author']} at {other['at']}")
    show_notes(*notes)


_documents = _table(
    "documents",
    "There is nothing.",
    path=lambda d: d["path"],
    type=lambda d: d["type"],
    value=lambda d: text_of(d["value"])[:60],
    conflict=lambda d: "yes" if d["conflict"] else "",
)
_writes = _table(
    "writes",
    "There is nothing.",
    at=lambda w: w["at"],
    fate=lambda w: w["fate"],
    path=lambda w: w["path"],
    value=lambda w: text_of(w["value"])[:60],
    author=lambda w: w["author"],
    why=lambda w: w["why"],
)


def _entries(answer: Answer) -> None:
    for document in answer["documents"]:
        for entry in document["elements"]:
            show_lines(f"{entry['at']}  {text_of(entry['value'])}")


def _joined(answer: Answer) -> None:
    show_fields(answer)
    if answer["standing"] == "joining":
        show_notes("No member has let this node in yet; it goes on trying.")


_FORMS: dict[str, Callable[[Answer], None]] = {
    "invite": lambda answer: show_lines(answer["invite"]),
    "join": lambda answer: show_lines(
        f"You and {answer['name'] or answer['address']} are contacts now.",
        answer["address"],
    ),
    "ping": lambda answer: show_lines(f"{answer['milliseconds']:.1f} ms"),
    "doctor": _findings,
    "contact.ls": _table(
        "contacts",
        "Nobody yet. Make an invite with `nestmate invite`.",
        name=lambda c: c["name"],
        trust=lambda c: c["trust"],
        connected=lambda c: "yes" if c["connected"] else "no",
        address=lambda c: c["address"],
    ),
    "peer.ls": _table(
        "peers",
        "No node is connected.",
        name=lambda p: p["name"],
        peer=lambda p: p["peer_id"],
        at=lambda p: p["addr"],
    ),
    "skill.ls": _table(
        "skills",
        "Nothing is offered here. Offer something with `nestmate skill add NAME`.",
        skill=lambda s: s["name"],
        description=lambda s: s["description"],
    ),
    "skill.find": _table(
        "results",
        "Nobody known offers it.",
        name=lambda r: r["name"],
        skill=lambda r: r["skill"],
        connected=lambda r: "yes" if r["connected"] else "no",
        address=lambda r: r["address"],
    ),
    "signal.deposit": lambda answer: show_lines(answer["task"]),
    "signal.result": lambda answer: show_lines(
        *bytes_of(answer["result"]).decode(errors="replace").splitlines()
    ),
    "signal.ls": _table(
        "signals",
        "Nobody needs help.",
        strength=lambda s: f"{s['strength']:.2f}",
        urgency=lambda s: f"{s['urgency']:.2f}",
        counts=lambda s: f"{s['urgency_paid']:.2f}",
        credit=lambda s: "" if s["credit"] is None else f"{s['credit']:.1f}",
        skill=lambda s: s["skill"],
        status=lambda s: s["status"],
        age=lambda s: _seconds(s["age_seconds"]),
        called=lambda s: f"{_seconds(s['called_seconds'])} ago",
        task=lambda s: s["task"],
    ),
    "signal.show": show_task,
    "claim.explain": show_reasons,
    "signal.authors": _table(
        "authors",
        "Nobody was heard to ask for help.",
        credit=lambda a: "liar" if a["equivocated"] else _of(a, f"{a['credit']:.1f}"),
        of=lambda a: _of(a, f"{a['credit_max']:.0f}"),
        asks=lambda a: f"{a['asked']:.2f}",
        counts=lambda a: f"{a['counted']:.2f}",
        others=lambda a: f"{a['usual']:.2f}",
        tasks=lambda a: a["tasks"],
        known=lambda a: "yes" if a["known"] else "no",
        address=lambda a: a["address"],
    ),
    "claim.ls": _table(
        "claims",
        "Nothing is claimed here.",
        skill=lambda c: c["skill"],
        fence=lambda c: c["generation"],
        left=lambda c: _seconds(c["seconds_left"]),
        task=lambda c: c["task"],
    ),
    "space.ls": _table(
        "spaces",
        "This node takes part in no space. Found one with `nestmate space create`.",
        name=lambda s: s["name"],
        standing=lambda s: s["standing"],
        ops=lambda s: s["ops"],
        conflicts=lambda s: s["conflicts"],
        peers=lambda s: s["peers"],
        space=lambda s: s["space"],
    ),
    "space.join": _joined,
    "space.invite": lambda answer: show_lines(answer["invite"]),
    "space.members": _table(
        "members",
        "Nobody may do anything yet.",
        name=lambda m: m["name"] or m["label"],
        rights=lambda m: ",".join(m["rights"]),
        paths=lambda m: " ".join(m["paths"]) or "everywhere",
        until=lambda m: m["closes"] or m["expires"] or "",
        address=lambda m: m["address"] or "whoever holds the invite",
        grant=lambda m: m["grant"] or "founder",
    ),
    "space.void": _writes,
    "get": _document,
    "put": lambda answer: show_lines(answer["version"]),
    "rm": lambda answer: show_lines(answer["version"]),
    "ls": _documents,
    "conflicts": _documents,
    "history": _writes,
    "explain": lambda answer: show_lines(*answer["sentences"]),
    "log.append": lambda answer: show_lines(answer["version"]),
    "log.read": _entries,
    "schema.set": lambda answer: show_lines(answer["version"]),
    "schema.check": _table(
        "faults",
        "Every document fits its schema.",
        path=lambda f: f["path"],
        at=lambda f: f["at"],
        fault=lambda f: f["fault"],
    ),
    "blob.ls": _table(
        "blobs",
        "No blob is here. Put one with `nestmate blob put FILE`.",
        bytes=lambda b: b["bytes"],
        held=lambda b: b["held"],
        state=lambda b: b["state"],
        pinned=lambda b: "yes" if b["pinned"] else "",
        media=lambda b: b["media"],
        shared=lambda b: (
            "public" if b["public"] else len(b["spaces"]) + len(b["agents"]) or ""
        ),
        blob=lambda b: b["blob"],
    ),
    "event.wait": _events,
    "event.find": _table(
        "events",
        "Nothing of that kind is kept.",
        seq=lambda e: e["seq"],
        at=lambda e: e["at"],
        type=lambda e: e["type"],
        path=lambda e: e["details"].get("path", ""),
        ref=lambda e: e["ref"],
        seen=lambda e: ", ".join(e["seen"]),
        waiting=lambda e: ", ".join(e["waiting"]),
        dead=lambda e: ", ".join(e["dead"]),
    ),
    "event.cursor.ls": _table(
        "cursors",
        "Nobody reads with a cursor.",
        cursor=lambda c: c["cursor"],
        seq=lambda c: c["seq"],
        behind=lambda c: c["behind"],
        dead=lambda c: c["dead"],
        takes=lambda c: " ".join(
            part for part in (*c["kinds"], c["space"], c["path"], c["author"]) if part
        ),
        moved=lambda c: c["moved"],
    ),
    "event.dead.ls": _table(
        "letters",
        "Nothing was given up.",
        cursor=lambda d: d["cursor"],
        seq=lambda d: d["event"]["seq"],
        type=lambda d: d["event"]["type"],
        tries=lambda d: d["tries"],
        again=lambda d: "yes" if d["retrying"] else "no",
        reason=lambda d: d["reason"],
    ),
    "peer.connect": lambda _: show_lines("Connected."),
    "peer.disconnect": lambda _: show_lines("Disconnected."),
    "contact.rm": lambda _: show_lines("Forgotten."),
    "down": lambda _: show_lines("Stopping."),
}
