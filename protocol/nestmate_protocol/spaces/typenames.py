"""The short words people use for types of documents.

This file knows nothing of what a type does.
"""

from nestmate_protocol.spaces.ops import Type

_WORDS = {
    Type.REGISTER: "reg",
    Type.SET: "set",
    Type.COUNTER: "ctr",
    Type.LOG: "log",
    Type.LIST: "list",
    Type.CLAIM: "claim",
    Type.BUDGET: "budget",
}
_TYPES = {word: kind for kind, word in _WORDS.items()}


def type_of(word: str) -> Type:
    """The type a word stands for; the request's own type has checked the word."""
    return _TYPES[word]


def word_of(kind: Type) -> str:
    """The word for a type; those of the auth lane by their own names."""
    return _WORDS.get(kind, kind.name.lower())
