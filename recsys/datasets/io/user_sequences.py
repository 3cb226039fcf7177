"""Users' item sequences: read from text, cut by leave-one-out into train, validation and test targets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embeddings.errors import InputError
from recsys.features.ragged import ranges

LARGEST_ID = 2**31 - 1  # ids are table rows, so an id sets the table's size


@dataclass(frozen=True)
class UserSequences:
    """Items of each user in time order: user ``i`` has ``items[offsets[i] : offsets[i + 1]]``.

    users      [U]      int64 raw ids, unique
    items      [T]      int64 raw ids
    offsets    [U + 1]  int64
    too_short  users that are left out, as they have too few items
    """

    users: np.ndarray
    items: np.ndarray
    offsets: np.ndarray
    too_short: int = 0


def read_sequences(path: Path, shortest: int) -> UserSequences:
    """The lines ``user TAB item item ...`` of ``path`` with ``shortest`` items or more, in the order of the file.

    Raises InputError naming file and line; OSError where it cannot be read.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' has a byte that is not ASCII at offset {error.start}; get the file again") from None
    users: list[int] = []
    items: list[int] = []
    ends = [0]
    line_of: dict[int, int] = {}  # user -> line
    too_short = 0
    for number, line in enumerate(lines, start=1):
        user, sequence = _parsed(line, path, number)
        if user in line_of:
            raise InputError(
                f"'{path}' line {number}: user {user} is on line {line_of[user]} too; allowed: one line a user"
            )
        line_of[user] = number
        if len(sequence) < shortest:
            too_short += 1
            continue
        users.append(user)
        items += sequence
        ends.append(len(items))
    if not users:
        raise InputError(f"'{path}' has no user with at least {shortest} items; get the file again")
    return UserSequences(np.array(users), np.array(items), np.array(ends), too_short)


def _parsed(line: str, path: Path, number: int) -> tuple[int, list[int]]:
    try:
        left, right = line.split("\t")
        user, items = int(left), [int(x) for x in right.split()]
    except ValueError:
        shown = line if len(line) <= 60 else line[:57] + "..."
        raise InputError(
            f"'{path}' line {number}: {shown!r} is not 'user TAB item item ...' with whole numbers; fix the line"
        ) from None
    for value in (user, min(items, default=0), max(items, default=0)):
        if not 0 <= value <= LARGEST_ID:
            raise InputError(f"'{path}' line {number}: id {value} is outside 0..{LARGEST_ID}; fix the line")
    return user, items


def leave_one_out(sequences: UserSequences, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The targets of one split, user after user: test has each user's last item, validation the one before it.

    Train has the items before these but the first, which has no history.

    returns  [P] int64 index into sequences.users, [P] int64 index into sequences.items
    """
    starts, ends = sequences.offsets[:-1], sequences.offsets[1:]
    first, last = {
        "train": (starts + 1, ends - 2),
        "validation": (ends - 2, ends - 1),
        "test": (ends - 1, ends),
    }[split]
    return np.repeat(np.arange(starts.size), last - first), ranges(first, last)
