"""The table of operations as methods of whatever can call an operation by name.

What an editor and a type checker know of these methods stands in the stub beside this
file, which a test writes from the table. This file knows no operation and no door.
"""

from collections.abc import Mapping
from inspect import Parameter as Place
from inspect import Signature
from typing import Any

from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS


class Call:
    """One operation of one node, to be called like a method."""

    def __init__(self, client: "Methods", operation: Operation) -> None:
        self._client = client
        self.operation = operation
        self.__name__ = operation.verb
        self.__qualname__ = operation.name
        self.__doc__ = operation.help

    def __repr__(self) -> str:
        return f"<Call {self.operation.name}>"

    def __call__(self, *args: object, **fields: object) -> Any:
        """Ask the node; positional arguments are those the table names."""
        names = self.operation.arguments
        if len(args) > len(names):
            raise TypeError(
                f"{self.operation.name} takes {len(names)} positional arguments, "
                f"not {len(args)}"
            )
        placed = dict(zip(names, args, strict=False))
        if twice := placed.keys() & fields.keys():
            raise TypeError(f"{self.operation.name} got {min(twice)} twice")
        return self._client.call(self.operation.name, placed | fields)

    @property
    def __signature__(self) -> Signature:
        from nestmate.operations.parameters import parameters  # noqa: PLC0415 - for people who ask, not for calls

        return Signature(
            [
                Place(
                    item.name,
                    Place.POSITIONAL_OR_KEYWORD
                    if item.positional
                    else Place.KEYWORD_ONLY,
                    default=Place.empty if item.required else item.default,
                )
                for item in parameters(self.operation)
            ],
            return_annotation=self.operation.response,
        )


class Noun:
    """The operations on one noun: ``client.signal``, ``client.event.cursor``."""

    def __init__(self, client: "Methods", noun: str) -> None:
        self._calls: dict[str, Call | Noun] = {
            row.verb: Call(client, row) for row in OPERATIONS if row.noun == noun
        }
        within = f"{noun}." if noun else ""
        for row in OPERATIONS:
            if row.noun.startswith(within) and row.noun != noun:
                inner = row.noun.removeprefix(within).partition(".")[0]
                if inner not in self._calls:
                    self._calls[inner] = Noun(client, within + inner)
        self._noun = noun

    def __repr__(self) -> str:
        return f"<Noun {self._noun}: {', '.join(self._calls)}>"

    def __dir__(self) -> list[str]:
        return list(self._calls)

    def __getattr__(self, verb: str) -> "Call | Noun":
        try:
            return self._calls[verb]
        except KeyError:
            raise AttributeError(f"there is no {self._noun}.{verb}") from None


class Methods:
    """Every operation as a method, by noun: ``self.signal.deposit``, ``self.status``.

    Who inherits this says in ``call`` how an operation is called by name.
    """

    def __init__(self) -> None:
        self._all = Noun(self, "")

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *dir(self._all)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._all, name)

    def call(self, name: str, fields: Mapping[str, object] | None = None) -> Any:
        """The response to an operation."""
        raise AttributeError(f"{type(self).__name__} cannot call {name}: {fields}")
