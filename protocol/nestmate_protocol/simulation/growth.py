"""Growth: where in a core more is kept than any bound of the protocol allows.

It walks over all that an object holds, whatever that is, so that nothing can hide in a
container nobody thought of. This file knows no core and no protocol.
"""

from collections.abc import Iterable, Mapping
from types import ModuleType

CONTAINER_ITEMS_MAX = 8_192

_PLAIN = (str, bytes, int, float, type(None), type, ModuleType)

Slots = dict[type, tuple[str, ...]]


def crowded(root: object, most: int = CONTAINER_ITEMS_MAX) -> list[str]:
    """Where in an object more than ``most`` items are kept, by attribute path."""
    found: list[str] = []
    slots: Slots = {}
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [(type(root).__name__, root)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, _PLAIN) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Iterable) and hasattr(item, "__len__"):
            inside = list(item.values() if isinstance(item, Mapping) else item)
            if len(inside) > most:
                found.append(f"{path} keeps {len(inside)} items")
            waiting += [(f"{path}[]", one) for one in inside]
        parts = _attributes(item, slots)
        waiting += [(f"{path}.{name}", value) for name, value in parts]
    return found


def _attributes(item: object, slots: Slots) -> Iterable[tuple[str, object]]:
    kind = type(item)
    names = slots.get(kind)
    if names is None:
        names = slots[kind] = _slots_of(kind)
    yield from getattr(item, "__dict__", {}).items()
    for name in names:
        if hasattr(item, name):
            yield name, getattr(item, name)


def _slots_of(kind: type) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in kind.__mro__:
        names = getattr(each, "__slots__", ())
        found |= dict.fromkeys([names] if isinstance(names, str) else names)
    return tuple(found)
