"""Mutators: a file of a known format into a damaged or hostile one, by a seeded generator."""
