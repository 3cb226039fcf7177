"""The planner's error where no sharding plan fits (TorchRec's PlannerError): which table and memory, what lacks."""

from embeddings.errors import InputError


class NoPlan(InputError):
    """No way to shard the tables fits the ranks' memory.

    table     that found no room; None: what every rank holds is too much already
    shortage  bytes that a rank lacks where the table's shards lack least
    of_host   whether it is the host's memory that is short
    """

    def __init__(self, table: str | None, shortage: float, of_host: bool = False, text: str = "") -> None:
        what = f"table '{table}' finds no room" if table else "what every rank holds finds no room"
        memory = "its share of the host's memory" if of_host else "memory"
        lacks = f"{what}: a rank lacks {int(shortage):,} bytes of {memory}"
        super().__init__(text or f"{lacks}; python -m embeddings.plan says what would make it fit")
        self.table, self.shortage, self.of_host = table, int(shortage), of_host
