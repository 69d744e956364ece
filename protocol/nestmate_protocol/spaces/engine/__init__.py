"""The engine: what the specification says of a set of ops, kept up op by op.

It is the incremental twin of ``spaces/state`` over an ordered key-value store, and
equal to it after every op, in every order. ``whole`` is its door; the other rooms keep
one thing each: rows, chains, authority, objects, and what waits.
"""
