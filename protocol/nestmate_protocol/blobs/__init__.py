"""Blobs: bytes named by their hash, in chunks, from whoever holds and may give them."""
