"""Golden losses: what training computed before, step by step, and the test that it still does."""
