"""Floor 6: keys and signatures for demonstrations on regtest, outside the node. It is no wallet: everybody can know the
keys."""
