"""Data sets that ``python -m train prepare`` writes as standard parquet rows: a module or folder each; io is shared."""

# As the command line calls them, in the order of its help.
DATASETS = ("shop", "microlens", "movielens", "taobao-mm", "grocery-store")
