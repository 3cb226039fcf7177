"""Mutation tests of the settings: one setting after another is broken on purpose, and a test must notice."""
