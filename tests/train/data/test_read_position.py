"""Read positions: in words, and those that cannot be used."""

import pytest

from embeddings.errors import InputError
from tests.train.data.rows import make_rows, steps, write_rows, write_split


def test_a_position_of_other_settings_or_files_is_refused(tmp_path, reader):
    write_split(tmp_path, [20])
    state = reader(world_size=1, shuffle_rows=8).state_dict()
    for change in ({"seed": 1}, {"shuffle_rows": 0}):
        (key, value), settings = next(iter(change.items())), {"shuffle_rows": 8, **change}
        with pytest.raises(
            InputError, match=rf"cannot go on .*'train': {key} is {value}, .*saved with \d; set {key} back"
        ):
            reader(**settings).load_state_dict(state)
    write_rows(tmp_path / "train" / "part-0.parquet", make_rows(21))
    with pytest.raises(InputError, match=r"'train': its files are not those .* bring the old files back"):
        reader(shuffle_rows=8).load_state_dict(state)


def test_the_position_names_file_and_row_group(tmp_path, reader):
    write_split(tmp_path, [8, 8])
    row_reader = reader()
    batches = row_reader.epoch(2)
    for _ in range(4):
        next(batches)
    place = tmp_path / "train" / "part-1.parquet"
    assert str(row_reader.position()) == f"split 'train', epoch 3, batch 3, file '{place}', row group 1"
    assert (row_reader.position(batch=2).row_group, row_reader.position(batch=1).file[-14:]) == (0, "part-0.parquet")
    batches.close()
    shuffled = reader(shuffle_rows=8)
    shuffled.epoch(0).close()
    assert str(shuffled.position(batch=3)).endswith(" and 1 more shuffled with it")


# ranks, rows a step and rank, reading threads


def test_rows_of_a_step_that_do_not_divide(tmp_path, reader, caplog):
    write_split(tmp_path, [64])
    _, state = steps(reader, (4, 4, 1), 0, 0, limit=2)
    with pytest.raises(
        InputError, match=r"3 ranks with 5 rows each .* 15 rows .* the 4 ranks .* multiple of 4, such as 4"
    ):
        reader(world_size=3, batch_size=5, seed=3).load_state_dict(state)
    caplog.clear()
    reader(world_size=2, batch_size=8, seed=3).load_state_dict(state)
    assert "going on in the order of 4 ranks with 4 rows each" in caplog.text


def test_the_position_in_words(tmp_path, reader):
    """Row groups of 4 and batches of 4: batch b of logical shard s is row group 8 s + b."""
    write_split(tmp_path, [64], group=4)
    _, state = steps(reader, (2, 4, 1), 0, 0, limit=2)
    one = reader(world_size=1, batch_size=8, seed=3)
    one.load_state_dict(state)
    assert one.batch_index == 2 and one.position(3).row_group == 3
    fourth = reader(world_size=4, batch_size=2, rank=3, seed=3)
    fourth.load_state_dict(state)
    assert fourth.position(3).row_group == 11
