"""Sync: two nodes with a space in common bring their ops together."""
