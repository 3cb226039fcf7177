"""SCL (contrastive learning) evaluation: retrieval accuracy Acc@N of a split, over all ranks."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from recsys.scl.accuracy_at_n import hits
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.towers import Towers
from train.data.prefetch import PrefetchThread
from train.distributed.ranks import Ranks
from train.scl.decoded_contents import DecodedContents
from train.scl.item_contents import ItemContents
from train.scl.pair_rows import PairRows

AT = (1, 5)


class Evaluation:
    """Compares a split's queries with all candidates: the split's positives, each once, or all items.

    Candidates are shared out over ranks, and their vectors gathered; queries are shared out.
    """

    def __init__(
        self, rows: PairRows, items: ItemContents, candidates: str, queries: DecodedContents, contents: DecodedContents,
        ranks: Ranks, batch_size: int, workers: int,
    ) -> None:  # fmt: skip
        self._rows, self._items, self._ranks = rows, items, ranks
        self._queries, self._contents, self._batch, self._workers = queries, contents, batch_size, workers
        self.candidates = np.unique(rows.positives) if candidates == "positives" else np.arange(items.ids.size)

    @property
    def num_queries(self) -> int:
        return len(self._rows)

    def __call__(self, towers: Towers, advance: Callable[[int], None]) -> dict[str, Any]:
        """Acc@1 and Acc@5, over all ranks, which all call it.

        Args:
            advance: told of the queries of all ranks done since.
        """
        training = towers.training
        towers.eval()
        try:
            with torch.no_grad():
                return self._measured(towers, advance)
        finally:
            towers.train(training)

    def _measured(self, towers: Towers, advance: Callable[[int], None]) -> dict[str, Any]:
        own = self._share(self.candidates)
        parts = [v for v, _ in self._vectors(towers.item, self._contents, own, lambda _: self._items.content)]
        candidates = self._gathered(parts, towers.item.width)
        correct = torch.zeros(len(AT), dtype=torch.float64)
        rows = self._share(np.arange(len(self._rows)))

        def reader(some: Sequence[int]) -> Callable[[int], Any]:
            return self._rows.queries(np.array(some)).__getitem__

        most = (len(self._rows) + self._ranks.world_size - 1) // self._ranks.world_size
        batches = self._vectors(towers.query, self._queries, rows, reader)
        for _ in range((most + self._batch - 1) // self._batch):  # as many on every rank
            vectors, some = next(batches, (None, None))
            if vectors is not None:
                positions = np.searchsorted(self.candidates, self._rows.positives[some])
                correct += hits(vectors, candidates, torch.from_numpy(positions).to(vectors.device), AT)
            advance(self._batch * self._ranks.world_size)
        if self._ranks.world_size > 1:
            dist.all_reduce(correct)
        accuracy = (correct / len(self._rows)).tolist()
        about = {"queries": len(self._rows), "candidates": int(self.candidates.size)}
        return {**{f"acc@{n}": a for n, a in zip(AT, accuracy, strict=True)}, **about}

    def _share(self, values: np.ndarray) -> np.ndarray:
        return np.array_split(values, self._ranks.world_size)[self._ranks.rank]

    def _vectors(
        self, encoder: Encoder, contents: DecodedContents, rows: np.ndarray, reader: Callable
    ) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Vectors of ``rows``, a batch at a time, decoded in threads while the encoder works."""
        parts = [rows[i : i + self._batch] for i in range(0, rows.size, self._batch)]
        with ThreadPoolExecutor(self._workers, thread_name_prefix="evaluation") as pool:
            tasks = (pool.submit(lambda p: contents.decoded(p, reader(p)), part.tolist()) for part in parts)
            worker = PrefetchThread(tasks, self._workers + 1, "evaluation")
            try:
                for part in parts:
                    yield encoder(worker.get().result().to(self._ranks.device)), part
            finally:
                worker.close()
                pool.shutdown(cancel_futures=True)

    def _gathered(self, parts: list[torch.Tensor], width: int) -> torch.Tensor:
        """Vectors of all candidates, in their order, on every rank."""
        device = self._ranks.device
        own = torch.cat(parts) if parts else torch.zeros(0, width, device=device)
        if self._ranks.world_size == 1:
            return own
        sizes = [a.size for a in np.array_split(self.candidates, self._ranks.world_size)]
        received = [torch.empty(max(sizes), width, device=device) for _ in sizes]
        padded = torch.zeros(max(sizes), width, device=device)
        padded[: own.size(0)] = own
        dist.all_gather(received, padded)
        return torch.cat([part[:size] for part, size in zip(received, sizes, strict=True)])
