"""Documents as commands meet them: bytes in, bytes out, and JSON in between.

What is JSON travels as the value it is, if it can come back unchanged; other text as
text; what is neither is wrapped, ``{"base64": …}``. The way back gives the bytes the
other side had. This file knows no command.
"""

import base64
import binascii
import json
from typing import Any, Final

WRAPPED: Final = "base64"
_INTEGERS: Final = range(-(1 << 63), 1 << 64)


def document_of(data: bytes) -> Any:
    """The document that bytes stand for."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {WRAPPED: base64.b64encode(data).decode()}
    try:
        document = json.loads(text, parse_constant=_refuse, parse_int=_integer)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return text  # also what no other side could read, such as a lone surrogate
    return document


def bytes_of(document: Any) -> bytes:
    """What a program reads as its input: text as it is, nothing for null."""
    match document:
        case None:
            return b""
        case str():
            return document.encode(errors="replace")
        case {"base64": str(text), **rest} if not rest:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                pass
    return json.dumps(document, ensure_ascii=False).encode(errors="replace")


def text_of(document: Any) -> str:
    """A document on a line of its own, for people."""
    return bytes_of(document).decode(errors="replace")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _integer(digits: str) -> int:
    number = int(digits)
    if number not in _INTEGERS:
        raise ValueError("a number no machine word can hold")
    return number
