"""Directory: cards of other agents, where they can be reached, and what they offer."""
