"""Floor 2: what spreads. Transactions that wait, and who is asked for and told of which."""
