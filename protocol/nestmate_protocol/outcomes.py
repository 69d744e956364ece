"""Outcomes: everything a subject can answer the core with, effects included.

Each subject names its own; here they are one union, so that the core can pass on what
one of them has to tell another. This file knows no rule of any.
"""

from nestmate_protocol.blobs.outcomes import Visit
from nestmate_protocol.directory.outcomes import AgentUp, Entitled, Lapse, Skilled
from nestmate_protocol.effects import Effect
from nestmate_protocol.friends.outcomes import Meet, Regarded
from nestmate_protocol.signals.outcomes import (
    Listen,
    Reject,
    SeekAble,
    ToAgent,
    ToNeighbours,
    ToTopic,
)
from nestmate_protocol.spaces.outcomes import Reach, Settle

Outcome = (
    Effect
    | AgentUp
    | Entitled
    | Skilled
    | Lapse
    | Meet
    | Regarded
    | ToAgent
    | ToNeighbours
    | ToTopic
    | SeekAble
    | Settle
    | Reach
    | Visit
    | Listen
    | Reject
)
