"""The network: one port, a real twin on libp2p and a memory twin for tests."""
