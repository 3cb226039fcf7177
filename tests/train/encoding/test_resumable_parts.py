"""Parts of an encoding that are kept beside the store: which are missing, whose they are, what they say."""

import numpy as np
import pytest

from embeddings.errors import InputError
from train.encoding.resumable_parts import NAMED, Part, PartsFolder


def part(*ids: int, reasons: tuple[str, ...] = ()) -> Part:
    vectors = np.array([[3.0, 4.0 * i] for i in ids], np.float32).reshape(-1, 2)
    return Part(np.array(ids, np.int64), vectors, len(reasons), list(reasons))


@pytest.fixture
def folder(tmp_path) -> PartsFolder:
    parts = PartsFolder(str(tmp_path / "store"))
    parts.begin({"items": "a", "encoder": "e"}, overwrite=False)
    return parts


def test_what_is_there_is_not_missing(folder, tmp_path):
    assert folder.path == tmp_path / ".store.parts" and folder.missing(3) == [0, 1, 2]
    folder.write(1, part(1, 2))
    folder.begin({"items": "a", "encoder": "e"}, overwrite=False)  # after a kill
    assert folder.missing(3) == [0, 2]
    folder.remove()
    assert not folder.path.exists()


def test_norms_and_reasons_of_all_parts(folder):
    folder.write(1, part(1, reasons=("item 9: why",)))
    folder.write(0, part(0, 1, reasons=tuple(f"item {n}: why" for n in range(NAMED))))
    assert folder.norms().tolist() == [3.0, 5.0, 5.0]
    assert folder.left_out() == (NAMED + 1, [f"item {n}: why" for n in range(NAMED)])


def test_parts_of_another_encoding_are_kept_unless_told(folder):
    folder.write(0, part(1))
    with pytest.raises(InputError, match=r"holds parts of another encoding \(other: encoder\); .* pass --overwrite"):
        folder.begin({"items": "a", "encoder": "f"}, overwrite=False)
    assert folder.missing(1) == []
    folder.begin({"items": "a", "encoder": "f"}, overwrite=True)
    assert folder.missing(1) == [0]


def test_a_plan_that_cannot_be_read_is_named(folder):
    (folder.path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="delete it or choose another --out"):
        folder.begin({"items": "a"}, overwrite=False)
