"""The jagged batch is what the drawing in its docstring says."""

import ast
import re

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.kernels.pairs import pairs
from recsys.batch import Batch


def drawn(name: str) -> list[list]:
    """The lists that follow ``name`` in the drawings, as they come."""
    return [ast.literal_eval(text) for text in re.findall(rf"^ {{8}}{name} +(\[.*?\])", Batch.__doc__, re.MULTILINE)]


def test_ids_are_drawn_as_torchrec_holds_them():
    keys, values, lengths = (drawn(name)[0] for name in ("keys", "values", "lengths"))
    jagged = KeyedJaggedTensor(keys=keys, values=torch.tensor(values), lengths=torch.tensor(lengths))
    assert jagged.offsets().tolist() == drawn("offsets")[0]
    bags = {key: [bag.tolist() for bag in jagged[key].to_dense()] for key in keys}
    assert bags == {"user": [[4], [1], [4]], "tags": [[7, 2], [], [5]]}


def test_frozen_rows_are_drawn_as_the_kernels_read_them():
    history, offsets, bag_index = (torch.tensor(drawn(name)[-1]) for name in ("history", "offsets", "bag_index"))
    impressions, rows = pairs(3, history, offsets, bag_index)
    assert drawn("target") == [[9, -1, 4]]
    assert impressions.tolist() == [0, 0, 2, 2] and rows.tolist() == [3, 8, 3, 8]
