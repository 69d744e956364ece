"""How fast libsodium verifies on this machine, for whoever needs that as raw limit.

This file knows nothing of what is verified.
"""

import time
from hashlib import sha256

from nestmate_protocol.keys import SigningKey, verify

MESSAGE_BYTES = 500


def seconds_to_verify(count: int) -> float:
    """Processor time for so many signatures over messages of a signal's length."""
    key = SigningKey(sha256(b"verifying").digest())
    message = bytes(MESSAGE_BYTES)
    signature = key.sign(message)
    began = time.process_time()
    for _ in range(count):
        verify(key.public, message, signature)
    return time.process_time() - began


def seconds_to_sign(count: int) -> float:
    """Processor time for so many signatures over messages of a signal's length."""
    key = SigningKey(sha256(b"verifying").digest())
    message = bytes(MESSAGE_BYTES)
    began = time.process_time()
    for _ in range(count):
        key.sign(message)
    return time.process_time() - began
