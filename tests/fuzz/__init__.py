"""Fuzzing: damaged and hostile files through the real commands, thousands of them, each reproducible by its number."""
