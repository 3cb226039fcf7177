"""MicroLens-50k (short videos) as CTR rows: public interaction pairs and title vectors in, a data folder out.

For a user's items x1..xL in time order, L >= 5: train targets x2..x(L-2), validation x(L-1), test x(L). The history is
the items before the target. There are no recorded negatives: each positive gets 1 (train) or 4 (validation, test) items
from outside the user's whole sequence, half drawn uniformly and half by popularity among the train targets.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from embeddings.errors import InputError
from embeddings.files.npy_file import map_npy
from embeddings.frozen.store import FrozenStore, build_store
from recsys.datasets.io.data_folder import data_folder, write_description
from recsys.datasets.io.flags import check_at_least
from recsys.datasets.io.negative_sampling import NegativeSampler
from recsys.datasets.io.split_writer import SplitCount, row_group_rows, write_split
from recsys.datasets.io.user_sequences import UserSequences, leave_one_out, read_sequences
from recsys.features.ragged import Ragged
from recsys.schema import Feature, Modality, Schema, TableSchema

PAIRS = "MicroLens-50k_pairs.tsv"
VECTOR_IDS = "title_ids.npy"
VECTORS = "title_vectors_128.npy"
ENCODER = "MiniLM-L6 sentence encoder of the titles, 128 principal components"
SHORTEST = 5  # items of the shortest usable sequence
NEGATIVES = {"train": 1, "validation": 4, "test": 4}


@dataclass(frozen=True, kw_only=True)
class MicroLensConfig:
    """What makes the rows, besides the source files."""

    history: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, history=1, seed=0)


def prepare(
    source: str, out: str, config: MicroLensConfig | None = None, *, overwrite: bool = False
) -> dict[str, SplitCount]:
    """Write MicroLens-50k from folder ``source`` as a data folder ``out``; return what each split holds.

    Raises InputError for a missing or malformed source file (naming the line), or an ``out`` that cannot be written.
    """
    config = config or MicroLensConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        try:
            sequences = read_sequences(Path(source) / PAIRS, SHORTEST)
        except OSError as error:
            raise _unreadable(Path(source) / PAIRS, error) from error
        store = _write_store(Path(source), folder / "frozen" / "text")
        catalogue = np.unique(sequences.items)
        counts = _write_splits(folder, sequences, catalogue, config)
        write_description(
            folder,
            _schema(sequences, catalogue, config.history),
            "microlens",
            asdict(config),
            counts,
            users=int(sequences.users.size),
            items=int(catalogue.size),
            users_left_out=sequences.too_short,
            items_without_vector=int((store.rows(catalogue) < 0).sum()),
        )
    return counts


def _write_store(source: Path, path: Path) -> FrozenStore:
    arrays = []
    for name in (VECTOR_IDS, VECTORS):
        try:
            arrays.append(map_npy(source / name, "get the file again"))
        except OSError as error:
            raise _unreadable(source / name, error) from error
    return build_store(str(path), *arrays, encoder=ENCODER)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"'{path}' cannot be read ({error.strerror}); --source is the folder with {PAIRS}, {VECTOR_IDS} and {VECTORS}"
    )


def _write_splits(
    folder: Path, sequences: UserSequences, catalogue: np.ndarray, config: MicroLensConfig
) -> dict[str, SplitCount]:
    items = np.searchsorted(catalogue, sequences.items)  # catalogue index of each step
    _, train_places = leave_one_out(sequences, "train")
    sampler = NegativeSampler(
        owners=np.repeat(np.arange(sequences.users.size), np.diff(sequences.offsets)),
        items=items,
        num_items=catalogue.size,
        popularity=np.bincount(items[train_places], minlength=catalogue.size),
    )
    counts = {}
    for number, (split, negatives) in enumerate(NEGATIVES.items()):
        rng = np.random.default_rng([config.seed, number])
        owner, places = leave_one_out(sequences, split)
        drawn = sampler.draw(rng, owner, negatives)
        item = np.concatenate([items[places][:, None], drawn], axis=1).ravel()  # a positive, then its negatives
        label = np.tile(np.array([1] + [0] * negatives, np.int8), places.size)
        owner, places = np.repeat(owner, 1 + negatives), np.repeat(places, 1 + negatives)
        if split == "train":  # there is no time to keep: rows mixed on disk suit a reader that shuffles in a window
            order = rng.permutation(label.size)
            item, label, owner, places = item[order], label[order], owner[order], places[order]
        starts = np.maximum(sequences.offsets[owner], places - config.history)
        columns = {
            "label": label,
            "user": sequences.users[owner],
            "item": catalogue[item],
            "history": Ragged.from_ranges(sequences.items, starts, places),
        }
        counts[split] = write_split(folder / split, columns, row_group_rows(config.history))
    return counts


def _schema(sequences: UserSequences, catalogue: np.ndarray, history: int) -> Schema:
    return Schema(
        frequency="clicks",  # negatives are sampled from all items, so that they say nothing of what was shown
        tables={
            "user": TableSchema(num_embeddings=int(sequences.users.max()) + 1, ids="identity"),
            "item": TableSchema(num_embeddings=int(catalogue.max()) + 1, ids="identity"),
        },
        features=[
            Feature(name="user", kind="id", table="user"),
            Feature(name="item", kind="id", table="item"),
            Feature(name="history", kind="sequence", table="item", target="item", max_length=history),
        ],
        modalities={"text": Modality(store="frozen/text", target="item", history="history")},
    )
