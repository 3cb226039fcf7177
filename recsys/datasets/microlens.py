"""MicroLens-50k (short videos) as CTR rows: public interaction pairs and title vectors in, a data folder out.

For a user's items x1..xL in time order, L >= 5: train targets x2..x(L-2), validation x(L-1), test x(L). The history is
the items before the target. There are no recorded negatives: each positive gets 1 (train) or 4 (validation, test) items
from outside the user's whole sequence, half drawn uniformly and half by popularity among the train targets.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore, build_store
from recsys.datasets.io.data_folder import Count, Lists, SplitWriter, data_folder, row_group_rows, write_description
from recsys.datasets.io.negative_sampling import NegativeSampler
from recsys.schema import Feature, Modality, Schema, Table

PAIRS = "MicroLens-50k_pairs.tsv"
VECTOR_IDS = "title_ids.npy"
VECTORS = "title_vectors_128.npy"
ENCODER = "MiniLM-L6 sentence encoder of the titles, 128 principal components"
SHORTEST = 5  # items of the shortest usable sequence
NEGATIVES = {"train": 1, "validation": 4, "test": 4}
LARGEST_ID = 2**31 - 1  # ids are table rows, so an id sets the table's size


@dataclass(frozen=True, kw_only=True)
class MicroLensConfig:
    """What makes the rows, besides the source files."""

    history: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.history < 1:
            raise InputError(f"history is {self.history}; allowed: at least 1 item")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; allowed: 0 or more")


@dataclass(frozen=True)
class Sequences:
    """Items of each user in time order: user ``i`` has ``items[offsets[i] : offsets[i + 1]]``.

    users    [U]      int64 raw ids, unique
    items    [T]      int64 raw ids
    offsets  [U + 1]  int64
    """

    users: np.ndarray
    items: np.ndarray
    offsets: np.ndarray
    too_short: int = 0  # users left out, because they have fewer than 5 items


def prepare(
    source: str, out: str, config: MicroLensConfig | None = None, *, overwrite: bool = False
) -> dict[str, Count]:
    """Write MicroLens-50k from folder ``source`` as a data folder ``out``; return what each split holds.

    Raises InputError for a missing or malformed source file (naming the line), or an ``out`` that cannot be written.
    """
    config = config or MicroLensConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        sequences = read_pairs(Path(source) / PAIRS)
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


def read_pairs(path: Path) -> Sequences:
    """The lines ``user TAB item item ...`` of ``path``. Raises InputError naming file and line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' has a byte that is not ASCII at offset {error.start}; get the file again") from None
    users: list[int] = []
    items: list[int] = []
    ends = [0]
    seen: dict[int, int] = {}  # user -> line
    too_short = 0
    for number, line in enumerate(lines, start=1):
        user, row = _parsed(line, path, number)
        if user in seen:
            raise InputError(
                f"'{path}' line {number}: user {user} is on line {seen[user]} too; allowed: one line a user"
            )
        seen[user] = number
        if len(row) < SHORTEST:
            too_short += 1
            continue
        users.append(user)
        items += row
        ends.append(len(items))
    if not users:
        raise InputError(f"'{path}' has no user with at least {SHORTEST} items; get the file again")
    return Sequences(np.array(users), np.array(items), np.array(ends), too_short)


def _parsed(line: str, path: Path, number: int) -> tuple[int, list[int]]:
    try:
        left, right = line.split("\t")
        user, items = int(left), [int(x) for x in right.split()]
    except ValueError:
        shown = line if len(line) <= 60 else line[:57] + "..."
        raise InputError(
            f"'{path}' line {number}: {shown!r} is not 'user TAB item item ...' with whole numbers; mend the line"
        ) from None
    for value in (user, min(items, default=0), max(items, default=0)):
        if not 0 <= value <= LARGEST_ID:
            raise InputError(f"'{path}' line {number}: id {value} is outside 0..{LARGEST_ID}; mend the line")
    return user, items


def _write_store(source: Path, path: Path) -> FrozenStore:
    arrays = []
    for name in (VECTOR_IDS, VECTORS):
        try:
            arrays.append(np.load(source / name, allow_pickle=False))
        except OSError as error:
            raise _unreadable(source / name, error) from error
        except (ValueError, EOFError) as error:
            raise InputError(f"'{source / name}' is not a readable .npy file ({error}); get the file again") from error
    return build_store(str(path), *arrays, encoder=ENCODER)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"'{path}' cannot be read ({error.strerror}); --source is the folder with {PAIRS}, {VECTOR_IDS} and {VECTORS}"
    )


def positives(sequences: Sequences, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Users and places in ``sequences.items`` of one split's targets, user after user.

    returns  [P] int64 index into sequences.users, [P] int64 index into sequences.items
    """
    starts, ends = sequences.offsets[:-1], sequences.offsets[1:]
    first, last = {
        "train": (starts + 1, ends - 2),
        "validation": (ends - 2, ends - 1),
        "test": (ends - 1, ends),
    }[split]
    owner = np.repeat(np.arange(starts.size), last - first)
    return owner, Lists.taken(np.arange(sequences.items.size), first, last).values


def _write_splits(
    folder: Path, sequences: Sequences, catalogue: np.ndarray, config: MicroLensConfig
) -> dict[str, Count]:
    items = np.searchsorted(catalogue, sequences.items)  # catalogue index of each step
    _, train_places = positives(sequences, "train")
    sampler = NegativeSampler(
        owners=np.repeat(np.arange(sequences.users.size), np.diff(sequences.offsets)),
        items=items,
        num_items=catalogue.size,
        popularity=np.bincount(items[train_places], minlength=catalogue.size),
    )
    counts = {}
    for number, (split, negatives) in enumerate(NEGATIVES.items()):
        rng = np.random.default_rng([config.seed, number])
        owner, places = positives(sequences, split)
        drawn = sampler.draw(rng, owner, negatives)
        item = np.concatenate([items[places][:, None], drawn], axis=1).ravel()  # a positive, then its negatives
        label = np.tile(np.array([1] + [0] * negatives, np.int8), places.size)
        owner, places = np.repeat(owner, 1 + negatives), np.repeat(places, 1 + negatives)
        if split == "train":  # there is no time to keep: rows mixed on disk suit a reader that shuffles in a window
            order = rng.permutation(label.size)
            item, label, owner, places = item[order], label[order], owner[order], places[order]
        with SplitWriter(folder / split, row_group_rows(config.history)) as writer:
            starts = np.maximum(sequences.offsets[owner], places - config.history)
            writer.write(
                {
                    "label": label,
                    "user": sequences.users[owner],
                    "item": catalogue[item],
                    "history": Lists.taken(sequences.items, starts, places),
                }
            )
        counts[split] = writer.count
    return counts


def _schema(sequences: Sequences, catalogue: np.ndarray, history: int) -> Schema:
    return Schema(
        frequency="clicks",  # negatives are sampled from all items, so that they say nothing of what was shown
        tables={
            "user": Table(num_embeddings=int(sequences.users.max()) + 1, ids="identity"),
            "item": Table(num_embeddings=int(catalogue.max()) + 1, ids="identity"),
        },
        features=[
            Feature(name="user", kind="id", table="user"),
            Feature(name="item", kind="id", table="item"),
            Feature(name="history", kind="sequence", table="item", target="item", max_length=history),
        ],
        modalities={"text": Modality(store="frozen/text", target="item", history="history")},
    )
