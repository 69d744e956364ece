"""Refusals: why a request about spaces is refused, beyond making no sense.

Each is a LocalError, so that whoever catches none of them still has the sentence.
"""

from nestmate_protocol.errors import LocalError


class ConflictError(LocalError):
    """Something else stands there than the writer has read; nothing was written."""


class ForbiddenError(LocalError):
    """The right for it is missing; the hint names the grant it would take."""


class MissingError(LocalError):
    """There is no such space, document or grant here."""
