"""Speed, parity, memory and swaps of the scorer, beside plain PyTorch and a no-op behind the same HTTP stack."""
