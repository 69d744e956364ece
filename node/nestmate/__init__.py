"""Nestmate's node: the trio shell around the protocol, its doors and its tools."""
