"""A writer that puts, updates, deletes and compacts until it is killed, and tells what was acknowledged."""

import itertools
import sys
import threading

import numpy as np

from embeddings.index.index_writer import IndexWriter
from tests.embeddings.index.indexes import vectors_of

ITEMS = 500  # ids of one thread
THREADS = 2


def main(path: str, seed: int) -> None:
    """Prints "begun" and "done" lines of: thread, action, seed of the vectors, first id, how many ids."""
    writer, printing = IndexWriter(path), threading.Lock()

    def say(*words: object) -> None:
        with printing:
            print(*words, flush=True)

    def change(thread: int) -> None:
        rng = np.random.default_rng([seed, thread])
        for step in itertools.count(1):
            first, count = int(rng.integers(0, ITEMS - 50)), int(rng.integers(1, 50))
            ids = ITEMS * thread + np.arange(first, first + count)
            kind = "delete" if rng.random() < 0.2 else "put"
            vectors_seed = 1000 * seed + step
            say("begun", thread, kind, vectors_seed, ids[0], count)
            if kind == "put":
                writer.put(ids, vectors_of(ids, vectors_seed))
            else:
                writer.delete(ids)
            say("done", thread, kind, vectors_seed, ids[0], count)

    threads = [threading.Thread(target=change, args=(n,), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):
        writer.compact()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
