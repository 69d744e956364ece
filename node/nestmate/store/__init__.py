"""The store: one port, a LevelDB twin and a memory twin that pass one suite."""
