"""The schema of a checkpoint, and the folder's that it is compared with."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.schema import Schema, load_schema, save_schema
from tests.train import tiny
from tests.train.launch import cli, one_line
from train.ctr.trained_schema import refuse_to_go_on, schema_to_score, trained_schema

FIRST = SimpleNamespace(first=True)


def schema(**tables) -> Schema:
    raw = tiny.SCHEMA.model_dump()
    raw["tables"]["tag"] |= tables
    return Schema.model_validate(raw)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with one split, whose only file has the columns of ``tiny``."""
    tiny.write_split(tmp_path / "data", "test", tiny.rows(10, 1))
    save_schema(tiny.SCHEMA, str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def progress() -> dict:
    return json.loads(json.dumps({"schema": tiny.SCHEMA.model_dump(mode="json"), "config": {"data": {"path": "old"}}}))


def test_the_runs_own_schema_is_read(folder, progress, capsys):
    assert trained_schema(progress) == tiny.SCHEMA
    assert schema_to_score(progress, str(folder), "test", ["text"], FIRST) == tiny.SCHEMA
    refuse_to_go_on(progress, tiny.SCHEMA, str(folder), "test", ["text"], FIRST)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(InputError, match=r"the checkpoint's schema: .*unknown key 'tabels'; did you mean 'tables'"):
        trained_schema({"schema": {"tabels": {}}})


def test_an_edited_schema_is_refused(folder, progress):
    save_schema(schema(ids="hash"), str(folder))
    for check in (
        lambda: schema_to_score(progress, str(folder), "test", ["text"], FIRST),
        lambda: refuse_to_go_on(progress, load_schema(str(folder)), str(folder), "test", ["text"], FIRST),
    ):
        with pytest.raises(InputError, match=r"data/schema.yaml' is not .*: tables.tag.ids is hash, trained with mod"):
            check()


def test_a_checkpoint_without_a_schema_says_so_once(folder, capsys):
    other = schema(ids="hash")
    save_schema(other, str(folder))
    assert schema_to_score({}, str(folder), "test", ["text"], FIRST) == other
    note = "note: the checkpoint is of an older version and holds no schema: '"
    assert capsys.readouterr().err.startswith(note)
    refuse_to_go_on({}, other, str(folder), "test", ["text"], FIRST)
    assert capsys.readouterr().err.startswith(note)
    schema_to_score({}, str(folder), "test", ["text"], SimpleNamespace(first=False))
    assert capsys.readouterr().err == "", "rank 0 alone says it"


def test_a_folder_without_a_schema_is_read_with_the_runs_own_and_its_stores(folder, progress, capsys, monkeypatch):
    (folder / "schema.yaml").unlink()
    monkeypatch.chdir(folder)
    read = schema_to_score(progress, str(folder), "test", ["text"], FIRST)
    assert read.modalities["text"].store == str(folder / "old" / "frozen" / "text")
    assert read.features == tiny.SCHEMA.features
    assert "has no schema.yaml: the run's own is used, and its stores" in capsys.readouterr().err


def test_a_renamed_column_is_read_where_the_old_one_is_gone(folder, progress):
    raw = tiny.SCHEMA.model_dump()
    raw["features"][3]["column"] = "preis"
    save_schema(Schema.model_validate(raw), str(folder))
    for check in (
        lambda: schema_to_score(progress, str(folder), "test", ["text"], FIRST),
        lambda: refuse_to_go_on(progress, load_schema(str(folder)), str(folder), "test", ["text"], FIRST),
    ):
        with pytest.raises(
            InputError, match="reads feature 'price' from column 'preis'; the run was trained on 'price', wh"
        ):
            check()
    table = pq.read_table(folder / "test")
    names = ["preis" if name == "price" else name for name in table.column_names]
    tiny.write_split(folder, "test", table.rename_columns(names))
    assert schema_to_score(progress, str(folder), "test", ["text"], FIRST).feature("price").source == "preis"


def test_rows_without_their_timestamp_are_scored_without_one(folder, progress, capsys):
    progress["schema"]["timestamp"] = "shown_at"
    (folder / "schema.yaml").unlink()
    assert schema_to_score(progress, str(folder), "test", [], FIRST).timestamp is None
    assert "note: split 'test' has no column 'shown_at', so that its rows have no timestamp" in capsys.readouterr().err
    table = tiny.rows(10, 1)
    tiny.write_split(folder, "test", table.append_column("shown_at", table["user"]))
    assert schema_to_score(progress, str(folder), "test", [], FIRST).timestamp == "shown_at"


def test_a_run_scores_and_goes_on_with_its_own_schema_alone(config, own_data, tmp_path):
    run, path = tmp_path / "runs" / "run", config(own_data)
    assert cli("ctr", "--config", path, "train.epochs=1").status == 0
    assert load_schema(str(run)) == tiny.SCHEMA
    figures = (run / "evaluation" / "test.json").read_text()
    commands = (
        ("evaluate", run),
        ("predict", run, "--out", tmp_path / "scores"),
        ("ctr", "--config", path, "run.resume=true", "train.epochs=2"),
    )
    save_schema(schema(ids="hash"), str(own_data))
    for command in commands:
        one_line(cli(*command), "tables.tag.ids is hash, trained with modulo; put it back")
    raw = tiny.SCHEMA.model_dump()
    raw["features"].reverse()
    save_schema(Schema.model_validate(raw), str(own_data))
    done = cli("evaluate", run)
    assert done.status == 0 and "features stand in another order there: the run's is kept" in done.err
    assert (run / "evaluation" / "test.json").read_text() == figures
    one_line(cli(*commands[2]), "its features are history, price, tags, item, user, trained with user, item, tags, pri")
    save_schema(tiny.SCHEMA, str(own_data))
    assert cli(*commands[2]).status == 0
