"""Spaces: shared state that many agents write, offline too, and merge by no referee.

A space is a replicated set of signed ops, and what is visible in it is a pure function
of that set. This subject knows no other subject.
"""
