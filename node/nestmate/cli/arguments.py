"""The arguments every command takes, found wherever they stand.

``--home`` and ``--json`` may stand before or after the command's name, up to ``--``.
What comes after ``--`` belongs to somebody else's command. This file knows no command.
"""

import os
from dataclasses import dataclass

HOME = "--home"
JSON = "--json"
HELP = ("--help", "-h")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked of every command, and the words that are left."""

    home: str | None
    json: bool
    words: tuple[str, ...] = ()

    @property
    def asks_for_help(self) -> bool:
        """Whether help is wanted rather than action."""
        return any(word in HELP for word in self.words[: self._end])

    @property
    def _end(self) -> int:
        return self.words.index("--") if "--" in self.words else len(self.words)

    def trouble(self) -> str:
        """What makes no sense whatever the command; empty if there is nothing."""
        if self.home == "":
            return "--home names no folder."
        for word in (self.home or "", *self.words[: self._end]):
            if not _is_text(word):
                return f"{word!r} is not UTF-8 text."
        return ""

    @property
    def divided(self) -> bool:
        """Whether ``--`` says where somebody else's command begins."""
        return "--" in self.words


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def hoist(argv: list[str]) -> Arguments:
    """Take ``--home`` and ``--json`` out of a command line, up to ``--``."""
    home: str | None = None
    json = os.environ.get("NESTMATE_JSON", "") not in {"", "0"}
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += [word, *rest]
        elif word == JSON:
            json = True
        elif word == HOME:
            home = next(rest, "")
        elif word.startswith(HOME + "="):
            home = word.removeprefix(HOME + "=")
        else:
            words.append(word)
    return Arguments(home, json, tuple(words))
