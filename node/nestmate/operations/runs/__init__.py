"""What carries operations out; loaded only where a node runs."""
