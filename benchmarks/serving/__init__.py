"""Speed, parity, memory, swaps and faults of the scorer, beside plain PyTorch and a no-op behind its HTTP stack."""
