"""Floor 0: the vocabulary that every other part shares. It imports nothing of ours."""
