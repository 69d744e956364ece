"""The testnet: real nodes on one machine, each a process with a home of its own."""
