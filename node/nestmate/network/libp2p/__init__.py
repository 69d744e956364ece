"""The libp2p twin of the network port: real sockets, strangers and their limits."""
