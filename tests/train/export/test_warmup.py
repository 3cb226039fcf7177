"""Warm-up requests: of rows of a split, with no user's history, as a scorer takes them, bounded, checked like rows."""

import json
from pathlib import Path

import pytest

from embeddings.errors import InputError
from recsys.schema import Schema
from tests.train.data.rows import MAX_LENGTH, SCHEMA, make_rows, write_rows, write_split
from train.export import warmup
from train.export.warmup import warmup_requests


def test_rows_become_requests_of_several_sizes(tmp_path):
    rows = write_split(tmp_path, [7, 0, 120], group=9, split="validation")
    requests = warmup_requests(str(tmp_path), "validation", SCHEMA)
    assert [len(r["candidates"]["item"]) for r in requests] == [1, 10, 100, 127]
    for request in requests:
        context, candidates = request["context"], request["candidates"]
        count = len(candidates["item"])
        first = rows[:count]
        assert context.keys() == {"user", "history"} and candidates.keys() == {
            "price",
            "item_tags",
            "item",
            "season",
            "age",
        }
        assert candidates["item"] == [row["item"] for row in first]
        assert candidates["item_tags"] == [row["item_tags"][-2:] for row in first], "cut to max_length"
        longest = max(len(row["history"][-MAX_LENGTH:]) for row in first)
        assert len(context["history"]) == longest, "as many as the longest history has"
    assert json.loads(json.dumps(requests)) == requests
    assert requests == warmup_requests(str(tmp_path), "validation", SCHEMA), "each time the same"


def own_items(count: int, users: int, length: int = 4) -> list[dict]:
    """Rows in whose histories each item stands once in all, and tells the row: ``1000 * row + place``."""
    rows = [{**row, "user": i % users, "history": []} for i, row in enumerate(make_rows(count))]
    for i, row in enumerate(rows):
        row["history"] = [1000 * i + place for place in range(length if i % 5 else length - 1)]
    return rows


def test_requests_have_no_users_history(tmp_path):
    rows = own_items(60, users=20)
    write_rows(Path(tmp_path, "validation", "part-0.parquet"), rows)
    requests = warmup_requests(str(tmp_path), "validation", SCHEMA)
    for request, longest in zip(requests, (0, 1, 1), strict=True):  # rows whose lists are the longest
        user, history = request["context"]["user"], request["context"]["history"]
        assert len(history) == len(rows[longest]["history"])
        givers = {item // 1000 for item in history}
        assert len(givers) == len(history), "each value is another row's"
        assert user not in {rows[giver]["user"] for giver in givers}, "none is of the user"
        assert longest not in givers and user != rows[longest]["user"]


def test_where_nobody_else_has_a_history_it_is_empty(tmp_path):
    for count, users in ((1, 1), (9, 1), (2, 2)):
        folder = tmp_path / f"{count}-{users}"
        write_rows(Path(folder, "validation", "part-0.parquet"), own_items(count, users))
        assert {len(r["context"]["history"]) for r in warmup_requests(str(folder), "validation", SCHEMA)} <= {0}


def test_values_of_few_rows_come_again(tmp_path):
    rows = own_items(4, users=4)
    write_rows(Path(tmp_path, "validation", "part-0.parquet"), rows)
    *_, request = warmup_requests(str(tmp_path), "validation", SCHEMA)
    assert len(request["context"]["history"]) == 4 and len({i // 1000 for i in request["context"]["history"]}) == 2


def test_two_features_of_one_column_get_the_longer_list(tmp_path):
    raw = SCHEMA.model_dump()
    raw["features"].append({"name": "recent", "column": "item_tags", "kind": "bag", "table": "tag", "max_length": 1})
    rows = write_split(tmp_path, [30], split="validation")
    requests = warmup_requests(str(tmp_path), "validation", Schema.model_validate(raw))
    assert requests[-1]["candidates"]["item_tags"] == [row["item_tags"][-2:] for row in rows]


def test_requests_that_hold_too_much_are_left_out(tmp_path, monkeypatch):
    write_split(tmp_path, [50], split="validation")
    monkeypatch.setattr(warmup, "MOST_NUMBERS", 100)
    assert [len(r["candidates"]["item"]) for r in warmup_requests(str(tmp_path), "validation", SCHEMA)] == [1, 10]


def test_an_empty_split_gives_none(tmp_path):
    write_split(tmp_path, [0], split="validation")
    assert warmup_requests(str(tmp_path), "validation", SCHEMA) == []


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match="split 'validation' is not in"):
        warmup_requests(str(tmp_path), "validation", SCHEMA)
    rows = make_rows(5)
    path = Path(tmp_path, "validation", "part-0.parquet")
    write_rows(path, [{**row, "season": 9} for row in rows])
    with pytest.raises(InputError, match="row group 0, feature 'season': got id 9"):
        warmup_requests(str(tmp_path), "validation", SCHEMA)
    write_rows(path, [{**row, "price": None} for row in rows])
    with pytest.raises(InputError, match="column 'price': got 4 nulls, none are allowed"):
        warmup_requests(str(tmp_path), "validation", SCHEMA)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="validation"):
        warmup_requests(str(tmp_path), "validation", SCHEMA)
