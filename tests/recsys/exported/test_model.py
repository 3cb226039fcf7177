"""An exported model against the model that was exported: rows as batches, and requests, to 1e-5 of a logit."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.index.create_index import create_index
from embeddings.index.index_writer import IndexWriter
from recsys.batch import Batch
from recsys.exported.model import ExportedModel
from recsys.exported.stores import NoStore
from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.features.ragged import Ragged
from recsys.features.raw_columns import build_row_block
from recsys.features.request_rows import RequestAssembler, RequestRows
from tests.embeddings.frozen.stores import flip_bits
from tests.recsys.exported.artefacts import Artefact, columns, export, make_folder, make_ready
from tests.train import tiny

ROWS = 40
SMALL = {"over_arch": [6], "attention": {"hidden": [5]}}
MAKE = {"hidden": [4, 3], "attention_hidden": 3}


def mode(name: str, **more: Any) -> dict[str, Any]:
    return {**SMALL, "multimodal": {"mode": name, "num_tiers": 5, "make": MAKE, **more}}


MODELS: dict[str, dict[str, Any]] = {
    **{name: mode(name) for name in ("none", "vector", "simscore", "simtier", "make", "simtier+make")},
    "sa_ta": mode("none", sa_ta=True),
    "simtier+sa_ta": mode("simtier", sa_ta=True),
    "softmax": mode("simtier", sa_ta=True) | {"attention": {"hidden": [5], "softmax": True}},
    "dcn": mode("simtier") | {"interaction": "dcn", "cross_rank": 3},
    "two modalities": mode("simtier") | {"modalities": {"image": {"mode": "make", "make": MAKE}}},
    "one of two": mode("none") | {"modalities": {"image": {"mode": "simscore"}}},
    "arch make": {"arch": "make", "modality": "image", "multimodal": {"make": MAKE}},
}
# Which columns all candidates share; the rest is the candidates'.
SIDES = {
    "histories": ("user", "history", "bought"),
    "one history": ("user", "history", "age"),
    "bags and floats": ("user", "history", "bought", "title", "age", "city"),
    "no history": ("user",),
    "nothing": (),
}


@pytest.fixture(scope="module", params=MODELS)
def artefact(request, data, tmp_path_factory) -> Artefact:
    return export(tmp_path_factory.mktemp("models") / "m", data, MODELS[request.param])


def arrays(given: dict[str, list[Any]]) -> dict[str, np.ndarray | Ragged]:
    """Plain columns as the feature code takes them."""
    lists = ("tags", "history", "title", "bought")
    return {
        name: Ragged.from_lists(values) if name in lists else np.array(values, None if values else np.int64)
        for name, values in given.items()
    }


def batch_of(artefact: Artefact, given: dict[str, list[Any]]) -> Batch:
    """What the trainer's reader makes of these rows."""
    block = build_row_block(artefact.schema, needed_fields(artefact.schema, False), arrays(given), "here")
    return BatchAssembler(artefact.schema, artefact.stores, with_labels=False)(block, slice(0, block.rows))[0]


def request_of(artefact: Artefact, context: dict[str, Any], candidates: dict[str, list[Any]]) -> RequestRows:
    assemble = RequestAssembler(artefact.schema, artefact.stores)
    return assemble(arrays({name: [value] for name, value in context.items()}), arrays(candidates))


def split_up(given: dict[str, list[Any]], shared: tuple[str, ...]) -> tuple[dict, dict]:
    """The first row's values of the columns ``shared``, and the other columns."""
    return {n: given[n][0] for n in shared}, {n: v for n, v in given.items() if n not in shared}


@torch.no_grad()
def plain_logits(artefact: Artefact, batch: Batch) -> torch.Tensor:
    return artefact.plain(batch)[1][1]


def near(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.dtype == wanted.dtype == torch.float32 and got.shape == wanted.shape
    assert (got - wanted).abs().max() < 1e-5


def test_rows_get_the_logits_of_the_model_that_was_exported(artefact):
    batch = batch_of(artefact, columns(ROWS))
    wanted = plain_logits(artefact, batch)
    near(ExportedModel.open(artefact.folder, {}).logits(batch), wanted)
    assert wanted.std() > 1e-3, "scores differ"


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("count", [1, 2, ROWS])
def test_a_request_gets_the_logits_of_its_rows(artefact, sides, count):
    """Once for all candidates, or for each: the same as a row for each of them."""
    context, candidates = split_up(columns(count, seed=count), SIDES[sides])
    model = ExportedModel.open(artefact.folder, {}, check=False)
    got = model.score(request_of(artefact, context, candidates))
    whole = {**candidates, **{name: [value] * count for name, value in context.items()}}
    near(got, plain_logits(artefact, batch_of(artefact, whole)))


@pytest.mark.parametrize("empty", [("history",), ("history", "bought"), ("tags", "title")])
def test_empty_lists(artefact, empty):
    given = columns(3, seed=9)
    for name in empty:
        given[name] = [[], [], []]
    context, candidates = split_up(given, SIDES["histories"])
    got = ExportedModel.open(artefact.folder, {}, check=False).score(request_of(artefact, context, candidates))
    whole = {**candidates, **{name: [value] * 3 for name, value in context.items()}}
    near(got, plain_logits(artefact, batch_of(artefact, whole)))


def test_no_candidates_are_no_logits(artefact):
    context, candidates = split_up(columns(1), SIDES["histories"])
    nothing: dict[str, list[Any]] = {name: [] for name in candidates}
    got = ExportedModel.open(artefact.folder, {}).score(request_of(artefact, context, nothing))
    assert got.shape == (0,) and got.dtype == torch.float32


def test_ids_outside_of_an_identity_table_are_looked_up_as_zeros(data, tmp_path):
    """Whatever they are; on either side, and among the behaviours."""
    artefact = export(tmp_path / "m", data, MODELS["none"])
    with torch.no_grad():
        for name, parameter in artefact.plain.sparse.named_parameters():
            if ".item." in name:
                parameter[7] = 0.0
    rows = np.load(artefact.folder / "tables" / "item.npy", mmap_mode="r+")
    rows[7] = 0.0
    model = ExportedModel.open(artefact.folder, {}, check=False)
    context, candidates = split_up(columns(4, seed=2), SIDES["histories"])
    candidates["item"] = [7, 7, 7, 1]
    context["history"] = [7, 2, 7]
    zeros = plain_logits(artefact, batch_of(artefact, {**candidates, **{n: [v] * 4 for n, v in context.items()}}))
    candidates["item"] = [-1, tiny.ITEMS, 2**63 - 1, 1]
    context["history"] = [-(2**63), 2, 10**9]
    near(model.score(request_of(artefact, context, candidates)), zeros)


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 0.02), ("int8", 0.2)])
def test_smaller_tables_change_little_and_something(data, tmp_path, dtype, bound):
    artefact = export(tmp_path / "m", data, MODELS["simtier"], dtype=dtype)
    batch = batch_of(artefact, columns(ROWS))
    off = (ExportedModel.open(artefact.folder, {}).logits(batch) - plain_logits(artefact, batch)).abs().max()
    assert 0 < off < bound


@pytest.fixture
def one(data, tmp_path) -> Artefact:
    """One that a test may spoil."""
    return export(tmp_path / "m", data, MODELS["two modalities"])


def change(artefact: Artefact, edit: Any) -> None:
    """Put what ``edit`` makes of the manifest in its place, and seal it again as whoever plants one would."""
    path = artefact.folder / "manifest.json"
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))
    make_ready(artefact.folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m["tables"]["user"].update(rows=41), "does not fit the schema beside it: table 'user'; copy"),
        (lambda m: m["tables"]["user"].update(width=5), "does not fit the schema beside it: table 'user'; copy"),
        (lambda m: m["stores"].pop("image"), "does not fit the schema beside it: modality 'image'; copy"),
        (lambda m: m["model"]["modalities"].update(sound={"mode": "none"}), "beside it: modality 'sound'"),
        (lambda m: m["model"].update(embedding_dim=5), "beside it: table 'city', table 'item', table 'tag', table 'us"),
        (lambda m: m["model"].update(over_arch=[7]), "other parameters than the architecture's: over.layers.0.bias, o"),
        (lambda m: m["model"].update(over_arch=[65_536] * 16), "other parameters than the architecture's: "),
        (lambda m: m["model"].update(arch="dien"), "arch 'dien' is none of din, make; did you mean 'din'"),
        (lambda m: m["stores"]["image"].update(checksum="0" * 64), "but the model was trained with 0000000000"),
        (lambda m: m["stores"]["image"].update(path="/no/where"), "or name its store by --store image=FOLDER"),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(one, edit, words):
    change(one, edit)
    with pytest.raises(InputError) as caught:
        ExportedModel.open(one.folder, {})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_store_elsewhere(one, data, tmp_path):
    change(one, lambda m: m["stores"]["image"].update(path="/no/where"))
    assert ExportedModel.open(one.folder, {"image": str(data / "frozen" / "image")}).stores.keys() == {"text", "image"}
    with pytest.raises(InputError, match="but the model was trained with"):
        ExportedModel.open(one.folder, {"image": str(data / "frozen" / "text")})
    with pytest.raises(InputError, match="--store images: the model uses no modality of that name; did you mean 'ima"):
        ExportedModel.open(one.folder, {"images": str(data / "frozen" / "image")})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(one, value):
    from safetensors.torch import load_file, save_file

    path = one.folder / "dense.safetensors"
    weights = load_file(path)
    weights["over.layers.0.bias"][0] = value
    save_file(weights, path)
    with pytest.raises(InputError, match=r"parameters are not finite: over\.layers\.0\.bias\); copy that"):
        ExportedModel.open(one.folder, {}, check=False)


def test_changed_bytes_are_found_where_they_are_looked_for(one):
    path = one.folder / "tables" / "user.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    ExportedModel.open(one.folder, {}, check=False)
    with pytest.raises(
        InputError, match=r"user\.npy' has changed since it was written; copy that version again, or exp"
    ):
        ExportedModel.open(one.folder, {})
    path.write_bytes(raw[:-1])
    with pytest.raises(InputError, match="it is truncated"):
        ExportedModel.open(one.folder, {}, check=False)


def test_changed_vectors_are_found_where_they_are_looked_for(one, data, tmp_path):
    store = shutil.copytree(data / "frozen" / "text", tmp_path / "text")
    flip_bits(store / "vectors.npy")
    ExportedModel.open(one.folder, {"text": str(store)}, check=False)
    with pytest.raises(NoStore, match=r"vectors\.npy' has SHA-256"):
        ExportedModel.open(one.folder, {"text": str(store)})


def test_pages_of_tables_and_vectors_are_mapped(one):
    """No process of a host has a copy of its own."""
    model = ExportedModel.open(one.folder, {})
    mapped = Path("/proc/self/maps").read_text()
    for name in model.tables:
        assert str(one.folder / "tables" / f"{name}.npy") in mapped


def test_an_index_of_the_same_encoder_takes_a_stores_place(tmp_path):
    data = make_folder(tmp_path / "data")
    for name in ("text", "image"):
        store = FrozenStore.open(str(data / "frozen" / name))
        vectors = store.vectors if store.scale is None else store.vectors * store.scale[:, None]
        write = (str(data / "frozen" / name), store.ids, vectors.copy())
        build_store(*write, dtype=store.dtype, encoder=f"{name}-1", overwrite=True)
    artefact = export(tmp_path / "model", data, {"arch": "din", "multimodal": {"mode": "simtier+make"}})
    places = {}
    for name in ("text", "image"):
        store = FrozenStore.open(str(data / "frozen" / name))
        places[name] = str(tmp_path / f"index-{name}")
        with create_index(places[name], f"{name}-1", store.width, store.dtype) as writer:
            writer.put_store(store, f"{name}-1")
    context, candidates = split_up(columns(ROWS, seed=2), SIDES["histories"])
    model, beside = ExportedModel.open(artefact.folder, places), ExportedModel.open(artefact.folder, {})
    assert all(store.live for store in model.stores.values())

    def score(of: ExportedModel) -> torch.Tensor:
        assemble = RequestAssembler(of.schema, of.stores)
        return of.score(assemble(arrays({n: [v] for n, v in context.items()}), arrays(candidates)))

    before = score(model)
    assert torch.equal(before, score(beside))
    with IndexWriter(places["text"]) as writer:
        writer.delete(np.array(candidates["item"][:1]))
        gone = score(model)
        assert gone[0] != before[0], "the next score uses what was written"
        store = FrozenStore.open(str(data / "frozen" / "text"))
        writer.put_store(store, "text-1")
        assert torch.equal(score(model), before)
        writer.add_encoder("text-2", store.width, store.dtype)
        writer.activate("text-2")
        assert torch.equal(score(ExportedModel.open(artefact.folder, places)), before)
        writer.drop("text-1")
    with pytest.raises(InputError, match=r"modality 'text': live index .* no vectors of encoder 'text-1'"):
        ExportedModel.open(artefact.folder, places)
