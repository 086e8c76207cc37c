"""Floor 4: the chains that ship. ``memory`` for the simulator and as an example, ``kernel`` for the real thing."""
