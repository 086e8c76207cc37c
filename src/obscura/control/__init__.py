"""Floor 6: asking a running node, over a Unix socket in its data directory."""
