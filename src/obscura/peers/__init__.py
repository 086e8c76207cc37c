"""Floor 2: whom we know. Policies that decide and return values; the node acts on them."""
