"""The node: one core, one store and one network, kept going by one loop."""
