"""The parquet files of a folder, and what is passed over beside them."""

import os

from embeddings.errors import InputError, shown


def parquet_paths(folder: str) -> tuple[list[str], list[str]]:
    """Paths of ``folder/*.parquet``, sorted by name, and what is passed over there, in words.

    Names that begin with ``.`` or ``_`` are left out and not told: Spark and others put files of their own there.
    Raises InputError where the folder cannot be listed.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"folder '{folder}' cannot be listed ({error.strerror}); fix its permissions") from error
    paths, passed_over = [], []
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            hive = " of a Hive partition" if "=" in entry.name else ""
            passed_over.append(f"{shown(entry.name)} (a folder{hive})")
        elif entry.name.endswith(".parquet"):
            paths.append(entry.path)
        else:
            passed_over.append(f"{shown(entry.name)} (its name does not end in '.parquet')")
    return paths, passed_over


def partitions(folder: str) -> tuple[int, list[str]]:
    """How many files ``*.parquet`` lie at any depth below the Hive partitions of ``folder``; their names."""
    files, names = 0, []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if "=" in entry.name and not entry.name.startswith((".", "_")) and entry.is_dir():
            below = sum(name.endswith(".parquet") for _, _, inside in os.walk(entry.path) for name in inside)
            files += below
            names += [shown(entry.name + "/")] * (below > 0)
    return files, names
