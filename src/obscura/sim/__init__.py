"""Floor 5: the node in a simulated world. One heap, one seed, virtual time; no clock, no entropy, no sockets."""
