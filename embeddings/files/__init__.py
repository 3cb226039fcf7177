"""Files as this project reads and writes them: one bounded reader a format, atomic writes, locks, names, paths."""
