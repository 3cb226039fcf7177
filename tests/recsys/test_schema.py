"""The schema: what it derives, and what each mistake in schema.yaml is told."""

import copy

import pytest

from embeddings import validation
from embeddings.errors import InputError
from embeddings.validation import validated
from recsys.schema import Modality, Schema, load_schema, save_schema, zch_tables

RAW = {
    "tables": {
        "user": {"num_embeddings": 5},
        "item": {"num_embeddings": 7, "embedding_dim": 3},
        "tag": {"num_embeddings": 4},
    },
    "features": [
        {"name": "user", "kind": "id", "table": "user"},
        {"name": "item", "kind": "id", "table": "item", "column": "item id"},
        {"name": "tags", "kind": "bag", "table": "tag", "pooling": "sum", "max_length": 3},
        {"name": "price", "kind": "dense"},
        {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": 9},
    ],
    "modalities": {"text": {"store": "frozen/text", "target": "item", "history": "history"}},
}


def refused(change, *parts: str) -> None:
    raw = copy.deepcopy(RAW)
    change(raw)
    with pytest.raises(InputError) as caught:
        validated(Schema, raw, where="schema.yaml")
    message = str(caught.value)
    assert message.startswith("schema.yaml: ") and "\n" not in message
    for part in parts:
        assert part in message


def put(*path):
    """A change that sets the value at ``path``, whose last two entries are key and value."""

    def change(raw):
        *parents, key, value = path
        for parent in parents:
            raw = raw[parent]
        raw[key] = value

    return change


def test_what_it_derives():
    schema = Schema.model_validate(RAW)
    names = {k: [f.name for f in getattr(schema, k)] for k in ("pooled", "sequential", "dense")}
    assert names == {"pooled": ["user", "tags"], "sequential": ["item", "history"], "dense": ["price"]}
    assert schema.sequence_tables == {"item"} and schema.feature("item").source == "item id"
    assert schema.feature("user").source == "user"


def test_written_and_read_again(tmp_path):
    schema = Schema.model_validate(RAW)
    save_schema(schema, str(tmp_path))
    assert load_schema(str(tmp_path)) == schema


def test_the_old_name_of_zch_is_read_and_the_new_one_said_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(validation, "_SAID", set())
    raw = copy.deepcopy(RAW)
    raw["tables"]["user"]["ids"] = raw["tables"]["tag"]["ids"] = "managed"
    schema = Schema.model_validate(raw)
    assert zch_tables(schema) == {"user": 5, "tag": 4}
    assert capsys.readouterr().err == "note: 'ids: managed' is now called 'ids: zch'; the old name is read too\n"
    save_schema(schema, str(tmp_path))
    assert "managed" not in (tmp_path / "schema.yaml").read_text() and load_schema(str(tmp_path)) == schema
    assert capsys.readouterr().err == ""


def test_missing_or_unreadable_file(tmp_path):
    with pytest.raises(InputError, match=r"no schema.yaml in '.*'; make the folder with 'python -m train prepare'"):
        load_schema(str(tmp_path))
    (tmp_path / "schema.yaml").write_text("tables: {a\nb: [")
    with pytest.raises(InputError, match=r"schema.yaml' is not readable YAML: [^\n]+$"):
        load_schema(str(tmp_path))
    (tmp_path / "schema.yaml").write_text("- a\n- b\n")
    with pytest.raises(InputError, match=r"schema.yaml: top level: keys are expected, such as key: value"):
        load_schema(str(tmp_path))
    (tmp_path / "schema.yaml").write_text("")
    with pytest.raises(InputError, match=r"tables: Field required; features: Field required"):
        load_schema(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (put("lable", "y"), ["unknown key 'lable'; did you mean 'label'?"]),
        (put("tables", "user", "num_embedings", 3), ["unknown key 'tables.user.num_embedings'; did you mean 'num_emb"]),
        (put("features", 0, "tabel", "user"), ["unknown key 'features.0.tabel'; did you mean 'table'?"]),
        (put("modalities", "text", "histroy", "x"), ["'modalities.text.histroy'; did you mean 'history'?"]),
        (put("tables", "user", "zzz", 1), ["unknown key 'tables.user.zzz'; known here: embedding_dim, ids, num_emb"]),
        (
            put("tables", "user", "num_embeddings", 0),
            ["tables.user.num_embeddings: ", "greater than or equal to 1, got 0"],
        ),
        (put("tables", "user", "ids", "md5"), ["tables.user.ids: ", "'identity' or 'zch', got 'md5'"]),
        (put("features", 0, "kind", "text"), ["features.0.kind: ", "got 'text'"]),
        (put("features", []), ["features: ", "at least 1 item"]),
        (put("version", 2), ["version: ", "got 2"]),
        (put("frequency", "views"), ["frequency: ", "'rows' or 'clicks', got 'views'"]),
        (put("modalities", "text", "max_missing", 2), ["max_missing: ", "less than or equal to 1, got 2"]),
        (lambda raw: raw.pop("tables"), ["tables: Field required"]),
        (put("features", 3, "name", "user"), ["feature names repeat; give each feature a name of its own"]),
        (put("features", 3, "table", "tag"), ["'price' is dense and cannot have a table; remove 'table'"]),
        (
            put("features", 0, "table", "usr"),
            ["feature 'user': table 'usr' is not in tables; allowed: ['item', 'tag', 'us"],
        ),
        (
            put("features", 4, "target", "user"),
            ["sequence 'history': target 'user' must be an id feature on table 'item'", "allowed: ['item']"],
        ),
        (put("features", 4, "target", None), ["sequence 'history': target 'None' must be"]),
        (put("features", 2, "table", "item"), ["bag 'tags' shares table 'item' with a sequence; give the bag"]),
        (put("target", "history"), ["target 'history' is no feature of kind id; allowed: ['user', 'item']"]),
        (put("target", "nosuch"), ["target 'nosuch' is no feature of kind id"]),
        (
            put("modalities", "text", "target", "history"),
            ["modality 'text': target 'history' is no feature of kind id"],
        ),
        (
            put("modalities", "text", "history", "item"),
            ["history 'item' is no feature of kind sequence; allowed: ['his"],
        ),
        (put("tables", "spare", {"num_embeddings": 1}), ["tables ['spare'] are used by no feature; remove them"]),
        (
            put("features", 0, "max_length", 3),
            ["feature 'user': 'max_length' is for kind bag and sequence, this is id"],
        ),
        (put("features", 3, "max_length", 3), ["feature 'price': 'max_length' is for kind bag and sequence"]),
        (
            put("features", 0, "target", "item"),
            ["feature 'user': 'target' is for kind sequence, this is id; remove it"],
        ),
        (put("features", 4, "pooling", "sum"), ["feature 'history': 'pooling' is for kind bag, this is sequence"]),
        (
            put("features", 3, "name", "a.b"),
            ["feature name 'a.b' cannot name a part of the model; use letters, digits"],
        ),
        (
            put("modalities", {"x" * 129: RAW["modalities"]["text"]}),
            ["xxx' cannot name a file or folder: it has 129 bytes; allowed: one name"],
        ),
        (put("features", 3, "name", ""), ["feature name '' cannot name"]),
        (
            put("tables", "_items", {"num_embeddings": 1}),
            ["name '_items' cannot name", "a letter or digit first"],
        ),
        (put("modalities", "type", {}), ["modalities.type.store: Field required"]),
    ],
)
def test_mistakes(change, parts):
    refused(change, *parts)


@pytest.mark.parametrize("name", ["150_2_180", "item-id", "gr\u00f6\u00dfe", "History2", "items"])
def test_other_names_are_fine(name):
    raw = copy.deepcopy(RAW)
    raw["modalities"][name] = raw["modalities"].pop("text")
    assert list(Schema.model_validate(raw).modalities) == [name]


@pytest.mark.parametrize(
    ("store", "path"), [("frozen/text", "data/frozen/text"), ("/stores/text", "/stores/text"), ("s3://b/t", "s3://b/t")]
)
def test_a_store_s_path_starts_at_the_schema_s_folder_unless_it_is_whole(store, path):
    assert Modality(store=store, target="item", history="history").store_path("data") == path
