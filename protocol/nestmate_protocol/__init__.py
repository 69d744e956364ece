"""Nestmate's protocol: pure values and state machines, with no clock and no I/O.

Everything that happens comes in as an input, everything it causes goes out as an
effect; time, entropy and the store are handed in. This package therefore runs in a
node and, a thousand times over, in the seeded simulation.
"""
