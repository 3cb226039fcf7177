"""The page's routes on a real socket: items, pictures by id, nearest items, explanations, bounds, safe headers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.http import page_routes
from serve.scorer import Scorer
from tests.recsys.exported.artefacts import export, make_ready
from tests.serve.http.served import served
from tests.serve.page.test_items import JPEG, PNG
from tests.serve.tiny_model import REQUEST, SETTINGS
from tests.train import tiny

TOKEN = "a-token-of-enough-letters"
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Facts of items 2 to 5, of which 2 and 3 have pictures, and 4 something else as one."""
    path = tmp_path_factory.mktemp("items") / "items.parquet"
    titles, pictures = ["Red bag", HTML, "red hat", "blue"], [PNG, JPEG, b"<svg>", None]
    pq.write_table(pa.table({"item": [2, 3, 4, 5], "title": titles, "picture": pictures, "clicks": [1, 2, 3, 4]}), path)
    return str(path)


def answers(scorer: Scorer, asked: list[tuple[str, Any]], **settings: Any) -> list[tuple[int, dict, Any]]:
    """Answers to paths and, where there is one, the JSON that is posted."""

    async def ask() -> list[tuple[int, dict, Any]]:
        async with served(scorer, **settings) as server:
            return [
                await (server.ask(path, "GET") if body is None else
                       server.ask(path, data=json.dumps(body), headers={"Content-Type": "application/json"}))
                for path, body in asked
            ]  # fmt: skip

    return asyncio.run(ask())


def get(scorer: Scorer, path: str, **settings: Any) -> tuple[int, dict, Any]:
    return answers(scorer, [(path, None)], **settings)[0]


def test_the_page_and_its_files_come_with_safe_headers(scorer):
    names = [f"/page/{name}" for name in page_routes._FILES]
    for status, headers, body in answers(scorer, [(path, None) for path in ("/", *names)]):
        assert status == 200 and len(body) > 100
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and "charset=utf-8" in headers["Content-Type"]
    templates = Path(page_routes.__file__).parent.parent / "page" / "templates"
    assert {path.name for path in templates.iterdir()} == set(page_routes._FILES)
    for path in templates.iterdir():
        text = path.read_text()
        assert "innerHTML" not in text and "outerHTML" not in text and "insertAdjacentHTML" not in text
        assert not [word for word in text.split() if "://" in word and "www.w3.org/2000/svg" not in word]


@pytest.mark.parametrize("name", ["..%2f..%2fsetup.py", "%2e%2e/items.py", "nothing.js", "page.html%00", "__init__.py"])
def test_no_path_reaches_another_file(scorer, name):
    status, _, body = get(scorer, f"/page/{name}")
    assert status == 404 and "error" in body


def test_the_page_can_be_left_out(scorer):
    asked = [(path, None) for path in ("/", "/page/page.js", "/v1/page/about", "/v1/page/items?q=2", "/openapi.json")]
    assert [status for status, *_ in answers(scorer, asked, page=False)] == [404, 404, 404, 404, 200]


def test_a_token_is_for_all_but_the_files_of_the_page(scorer, items):
    asked = [
        (path, None) for path in ("/", "/page/page.js", "/v1/page/about", "/v1/page/picture?id=2", "/openapi.json")
    ]
    statuses = [status for status, *_ in answers(scorer, asked, token=TOKEN, items=(items,))]
    assert statuses == [200, 200, 401, 401, 401]


def test_about_has_the_columns_and_an_example_of_them(scorer):
    status, _, about = get(scorer, "/v1/page/about")
    assert status == 200 and about["columns"].keys() == scorer.fields.keys()
    history = about["columns"]["history"]
    assert history["kind"] == "list" and history["context"] and history["example"] == "1 2 3 59"
    assert about["columns"]["item"]["example"] == ["5", "6", "7"] and not about["columns"]["item"]["context"]
    assert about["columns"]["tags"]["example"] == ["1 2", "", "3"]
    assert about["histories"] == ["history", "bought"] and about["modalities"]["image"]["history"] == "bought"
    assert (about["item"], about["user"], about["items"]) == ("item", "user", 0)


def test_items_by_ids_and_by_titles(scorer, items):
    asked = [("/v1/page/items?ids=2,3,3,70", None), ("/v1/page/items?q=red", None), ("/v1/page/items?q=5", None),
             ("/v1/page/items?q=", None), ("/v1/page/items", None)]  # fmt: skip
    by_id, by_title, number, nothing, missing = (body for _, _, body in answers(scorer, asked, items=(items,)))
    assert [item["id"] for item in by_id] == ["2", "3", "70"]
    assert by_id[0]["facts"] == {"title": "Red bag", "clicks": 1} and by_id[1]["facts"]["title"] == HTML
    assert [item["picture"] for item in by_id] == [True, True, False]
    assert [item["trained"] for item in by_id] == [True, False, False]  # 3 never was, 70 is outside
    assert [item["vectors"] for item in by_id[1:]] == [{"text": True, "image": False}, {"text": False, "image": False}]
    assert [item["id"] for item in by_title] == ["2", "4"]
    assert [item["id"] for item in number] == ["5"] and nothing == missing == []


def test_items_with_the_most_of_a_column(scorer, items):
    status, _, found = get(scorer, "/v1/page/items?most=clicks", items=(items,))
    assert status == 200 and [item["id"] for item in found] == ["5", "4", "3", "2"]
    assert get(scorer, "/v1/page/about", items=(items,))[2]["sortable"] == ["clicks"]


def test_pictures_by_id_with_their_type(scorer, items):
    asked = [(f"/v1/page/picture?id={item}", None) for item in (2, 3, 4, 5, 99)]
    got = answers(scorer, asked, items=(items,))
    assert [status for status, *_ in got] == [200, 200, 404, 404, 404]
    assert [(headers["Content-Type"], body) for _, headers, body in got[:2]] == [
        ("image/png", PNG),
        ("image/jpeg", JPEG),
    ]
    assert all(headers["X-Content-Type-Options"] == "nosniff" for _, headers, _ in got[:2])


@pytest.mark.parametrize("path", ["/v1/page/picture?id=", "/v1/page/picture", "/v1/page/picture?id=../x",
                                  "/v1/page/picture?id=9223372036854775808", "/v1/page/items?ids=1,x",
                                  "/v1/page/items?most=title", "/v1/page/nearest?id=1",
                                  "/v1/page/nearest?id=1&modality=nothing",
                                  "/v1/page/items?ids=" + ",".join(["1"] * 201)])  # fmt: skip
def test_what_is_wrong_is_said(scorer, items, path):
    status, _, body = get(scorer, path, items=(items,))
    assert status == 400 and len(body["error"]) > 10


def test_nearest_items_by_a_modality(scorer, monkeypatch):
    status, _, near = get(scorer, "/v1/page/nearest?id=4&modality=image")
    assert status == 200 and len(near) == 20
    store = scorer.model.stores["image"]
    vectors = store.vectors.astype(float) * store.scale[:, None]
    cosines = vectors @ vectors[list(store.ids).index(4)]
    wanted = sorted(((c, i) for c, i in zip(cosines, store.ids, strict=True) if i != 4), reverse=True)[:20]
    assert [item["id"] for item in near] == [str(i) for _, i in wanted]
    assert [item["cosine"] for item in near] == pytest.approx([c for c, _ in wanted], abs=1e-4)
    assert get(scorer, "/v1/page/nearest?id=3&modality=image")[2] == []  # it has no vector
    monkeypatch.setattr(page_routes, "MOST_ROWS", tiny.ITEMS // 2 - 1)
    status, _, body = get(scorer, "/v1/page/nearest?id=4&modality=image")
    assert status == 400 and "too many" in body["error"]
    assert not get(scorer, "/v1/page/about")[2]["modalities"]["image"]["searchable"]


def test_lookups_beyond_those_that_wait_are_refused(scorer, items, monkeypatch):
    monkeypatch.setattr(page_routes, "MOST_LOOKUPS", 0)
    asked = [(f"/v1/page/{what}", None) for what in ("nearest?id=4&modality=image", "items?q=red", "items?most=clicks")]
    for status, headers, body in answers(scorer, asked, items=(items,)):
        assert status == 429 and headers["Retry-After"] and body["error"] == "0 lookups wait already"
    assert get(scorer, "/v1/page/items?ids=2", items=(items,))[0] == 200  # which waits for nothing


class Swapping(Scorer):
    """A scorer to which another version comes after each look at the one that it has."""

    @property
    def _opened(self):
        self.versions.reverse()
        return self.versions[0]

    @_opened.setter
    def _opened(self, opened):
        self.versions = [*getattr(self, "versions", []), opened]


def test_an_answer_is_of_one_version(own_model, data):
    other = {**REQUEST, "context": {**REQUEST["context"], "history": [7, 7]}}
    export(own_model, data, SETTINGS, seed=2, requests=(other,), keep=9)
    scorer = Swapping(own_model, version="000001")
    scorer.take("000002")
    example = {"000001": "1 2 3 59", "000002": "7 7"}
    seen = set()
    for _, _, about in answers(scorer, [("/v1/page/about", None)] * 3):
        seen.add(about["version"])
        assert about["columns"]["history"]["example"] == example[about["version"]]
    assert len(scorer.versions) == 2 and seen <= example.keys()


def test_no_path_of_the_machine_is_shown(own_model, data):
    """Folders of the run, of the stores and of the model itself."""
    version = own_model / "000001"
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["source"]["run"] = "/home/somebody/runs/tiny"
    (version / "manifest.json").write_text(json.dumps(manifest))
    make_ready(version)
    paths = ("/v1/page/about", "/v1/model", "/openapi.json", "/ready", "/v1/page/traffic", "/v1/page/items?ids=2")
    for path, (status, _, body) in zip(paths, answers(Scorer(own_model), [(p, None) for p in paths]), strict=True):
        told = json.dumps(body)
        assert status == 200 and "somebody" not in told and str(data.parent) not in told, path
        assert str(own_model.parent) not in told, path
        if path == "/v1/page/about":
            assert body["run"] == "tiny"


def test_a_score_explained(scorer, monkeypatch):
    (status, _, explained), (_, _, scored) = answers(scorer, [("/v1/page/explain", REQUEST), ("/v1/score", REQUEST)])
    assert status == 200 and scored.items() <= explained.items()
    assert explained["without"].keys() == {"vectors: text", "vectors: image", "history", "user id", "item id"}
    assert explained["cosines"]["image"][0] == [None] * 2  # item 5 has no picture
    assert all(
        len(column) == 3 for part in ("without", "tiers", "cosines", "make") for column in explained[part].values()
    )
    wrong = [{}, {"context": 1, "candidates": 2}, {**REQUEST, "candidates": {"item": [1]}}]
    assert [status for status, *_ in answers(scorer, [("/v1/page/explain", body) for body in wrong])] == [400] * 3
    monkeypatch.setattr(page_routes, "MOST_EXPLAINED", 2)
    (status, _, body) = answers(scorer, [("/v1/page/explain", REQUEST)])[0]
    assert status == 400 and "at most 2" in body["error"]


def test_explanations_ask_for_json_by_its_name(scorer):
    """A page of somebody else's may send text/plain here without asking first, and no JSON."""

    async def ask():
        async with served(scorer) as server:
            return await server.ask(
                "/v1/page/explain", data=json.dumps(REQUEST), headers={"Content-Type": "text/plain"}
            )

    assert asyncio.run(ask())[0] == 415


def test_traffic_counts_what_was_scored(scorer):
    asked = [("/v1/score", REQUEST), ("/v1/score", REQUEST), ("/v1/score", {}), ("/v1/page/traffic", None)]
    status, _, traffic = answers(scorer, asked, slow_ms=0.0)[-1]
    assert status == 200 and traffic["statuses"] == {"200": 2, "400": 1} and traffic["counts"][-1] == 2
    assert len(traffic["slow"]) == 2 and traffic["numbers"]["waiting"] == 0


def test_openapi_is_of_the_model(scorer):
    status, _, described = get(scorer, "/openapi.json")
    content = described["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert status == 200 and content["example"] == REQUEST
    assert described["components"]["schemas"]["Context"]["properties"].keys() == scorer.fields.keys()


def test_candidates_that_are_no_columns_are_refused(scorer):
    for candidates in ([1, 2], "text", 7, None, {"item": 5}):
        status, _, body = answers(scorer, [("/v1/page/explain", {**REQUEST, "candidates": candidates})])[0]
        assert status == 400 and "wanted" in body["error"]
