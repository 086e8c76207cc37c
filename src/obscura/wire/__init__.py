"""Floor 1: what bytes mean. Frames, the fifteen messages of the specification, and the one table that governs them."""
