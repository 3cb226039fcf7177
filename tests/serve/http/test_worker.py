"""A worker takes versions while it answers: every answer is of one version, what is refused leaves the one before."""

import asyncio
import gc
import json
import multiprocessing
import os
import shutil
import threading
import time
import weakref

import numpy as np
import pytest

from embeddings.errors import InputError
from serve.http.metrics import Metrics
from serve.http.settings import Settings
from serve.http.versions_shared import SharedVersions
from serve.http.worker import open_scorer, take_new_versions
from serve.scorer import Scorer
from tests.recsys.exported.artefacts import make_folder
from tests.recsys.exported.deltas import chain_of, write_delta
from tests.serve.http.served import served
from tests.serve.http.test_metrics import lines
from tests.serve.tiny_model import REQUEST, write_version


@pytest.fixture
def shared():
    return SharedVersions(multiprocessing.get_context("spawn"), "000001")


class taking:
    """A thread that takes versions, which has ended where the block has."""

    def __init__(self, scorer, shared, metrics) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=take_new_versions, args=(scorer, shared, metrics, self._done))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()


def until(true, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.005)


def maps(folder) -> int:
    with open("/proc/self/maps") as file:
        return sum(str(folder) in line for line in file)


def files(folder) -> int:
    return sum(str(folder) in os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("serve.http.worker._LOOK_S", 0.005)


def test_swaps_under_load_fail_nothing_and_mix_nothing_and_leak_nothing(own_model, data, shared, quick):
    wanted = {}
    for seed in range(1, 9):
        version = "000001" if seed == 1 else write_version(own_model, data, seed)
        wanted[version] = Scorer(own_model, version=version).score(**REQUEST).scores.tobytes()
    assert len(set(wanted.values())) == 8
    scorer, metrics, answers, swaps = Scorer(own_model, version="000001"), Metrics("0"), [], 24

    def swap() -> None:
        for i in range(swaps):
            shared.wanted = list(wanted)[(i + 1) % 8]
            until(lambda: shared.taken == shared.wanted)

    async def ask():
        async def client() -> None:
            while not swapping.done():
                answers.append(await server.json())

        async with served(scorer) as server:
            swapping = asyncio.create_task(asyncio.to_thread(swap))
            await asyncio.gather(*(client() for _ in range(3)))
            await swapping

    with taking(scorer, shared, metrics):
        asyncio.run(ask())
    assert {status for status, _, _ in answers} == {200} and len(answers) > swaps
    assert len({body["version"] for _, _, body in answers}) == 8
    for _, headers, body in answers:
        assert np.array(body["scores"], np.float32).tobytes() == wanted[body["version"]]
        assert headers["Model-Version"] == body["version"]
    got = lines(metrics.text())
    assert got["tierwise_version_swaps_total"] == swaps and got["tierwise_version_refusals_total"] == 0
    assert got["tierwise_version"] == got["tierwise_oldest_version"] == int(scorer.version)
    assert maps(own_model) == files(own_model) == 10  # two of each of five tables, of one version


@pytest.mark.parametrize(("price", "timeout_s", "status"), [(1e39, 5.0, 400), (0.5, 0.05, 503), (0.5, 5.0, 200)])
def test_a_request_that_waits_over_a_swap_keeps_no_version(own_model, data, shared, quick, price, timeout_s, status):
    write_version(own_model, data, 2)
    scorer = Scorer(own_model, version="000001")
    before = weakref.ref(scorer._opened)
    body = json.dumps({**REQUEST, "candidates": {**REQUEST["candidates"], "price": [price] * 3}}).encode()

    async def ask():
        async with served(scorer, works=False, timeout_s=timeout_s) as server:
            asked = asyncio.create_task(server.json(body))
            while not len(server.application.queue):
                await asyncio.sleep(0.005)
            shared.wanted = "000002"
            while shared.taken != "000002":
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            assert before() is not None
            working = asyncio.create_task(server.application.queue.work())
            assert (await asked)[0] == status
            working.cancel()

    with taking(scorer, shared, Metrics("0")):
        asyncio.run(ask())
    gc.collect()
    assert before() is None


def test_deltas_are_taken_under_load_and_mix_nothing_and_leak_nothing(own_model, shared, quick):
    chain, wanted = chain_of(own_model), {"000001": Scorer(own_model).score(**REQUEST).scores.tobytes()}
    scorer, metrics, answers, deltas, merged = Scorer(own_model), Metrics("0"), [], 12, chain.start()

    def publish() -> None:
        nonlocal merged
        for seed in range(deltas):
            write_delta(own_model, seed)
            merged = chain.next(merged)
            merged.save(folder := shared.merged("000001", merged.number))
            wanted[merged.manifest.name] = Scorer(own_model).score(**REQUEST).scores.tobytes()
            shared.wanted_deltas = "000001", merged.number
            until(lambda number=merged.number: scorer.delta == number)
            shutil.rmtree(folder)

    async def ask():
        async def client() -> None:
            while not publishing.done():
                answers.append(await server.json())

        async with served(scorer) as server:
            publishing = asyncio.create_task(asyncio.to_thread(publish))
            await asyncio.gather(*(client() for _ in range(3)))
            await publishing
            answers.append(await server.json())
            about = (await server.ask("/v1/model", "GET"))[2]
            assert (about["version"], about["step"], about["event_time"]) == ("000001+12", 112, 12000.0)

    with shared.folder_of_deltas(), taking(scorer, shared, metrics):
        asyncio.run(ask())
    assert {status for status, _, _ in answers} == {200} and len({body["version"] for _, _, body in answers}) > 6
    for _, headers, body in answers:
        assert np.array(body["scores"], np.float32).tobytes() == wanted[body["version"]]
        assert headers["Model-Version"] == body["version"]
    got = lines(metrics.text())
    assert got["tierwise_deltas_applied_total"] == got["tierwise_delta"] == deltas
    assert got["tierwise_event_time_seconds"] == 12000.0 and got["tierwise_delta_refusals_total"] == 0
    assert maps("tierwise-deltas") <= 3 * 5, "rows, numbers and bits of five tables, of one merge"


def test_a_worker_that_starts_anew_begins_with_the_deltas(own_model, shared):
    chain = chain_of(own_model)
    write_delta(own_model, 1)
    with shared.folder_of_deltas():
        chain.next(chain.start()).save(shared.merged("000001", 1))
        shared.wanted_deltas = "000001", 1
        scorer = open_scorer(Settings(model=str(own_model)), shared, Metrics("0"))
    assert (scorer.version, scorer.delta) == ("000001", 1)


def test_a_merge_that_cannot_be_mapped_is_refused_in_words(own_model, shared, quick, capsys):
    scorer, metrics = Scorer(own_model), Metrics("0")
    write_delta(own_model, 1, scale=1e30)
    with shared.folder_of_deltas(), taking(scorer, shared, metrics):
        chain = chain_of(own_model)
        chain.next(chain.start()).save(shared.merged("000001", 1))
        shared.wanted_deltas = "000001", 1
        until(lambda: lines(metrics.text())["tierwise_delta_refusals_total"] == 1)
    assert (
        "delta 1 of version 000001 is refused, 000001 goes on: delta '000001+1' is of no use" in capsys.readouterr().err
    )
    assert scorer.delta == 0 and scorer.score(**REQUEST).version == "000001"


def no_store(root, version):
    shutil.rmtree(root.parent / "data" / "frozen" / "text")


def vanished(root, version):
    shutil.rmtree(root / version)


def half(root, version):
    (root / version / "READY").unlink()


def cut(root, version):
    table = root / version / "tables" / "user.npy"
    table.write_bytes(table.read_bytes()[:-8])


HARM = {"a store that is gone": no_store, "vanished": vanished, "half written": half, "a table that is cut": cut}


@pytest.mark.parametrize("harm", HARM)
def test_a_version_that_cannot_be_opened_leaves_the_one_before(tmp_path, data, shared, quick, capsys, harm):
    root = tmp_path / "model"
    write_version(root, data, seed=1)
    version = write_version(root, make_folder(tmp_path / "data"), seed=2)
    scorer, metrics = Scorer(root, version="000001"), Metrics("0")
    before = scorer.score(**REQUEST).scores
    HARM[harm](root, version)
    with taking(scorer, shared, metrics):
        shared.wanted = version
        until(lambda: lines(metrics.text())["tierwise_version_refusals_total"] == 1)
        time.sleep(0.05)
    said = capsys.readouterr().err
    assert said.startswith(f"version {version} is refused, 000001 goes on: ") and said.count("\n") == 1
    assert scorer.version == "000001" and (scorer.score(**REQUEST).scores == before).all() and shared.taken is None
    assert lines(metrics.text())["tierwise_version_refusals_total"] == 1


def test_a_version_that_was_refused_is_taken_once_it_is_whole(tmp_path, data, shared, quick, capsys, monkeypatch):
    tries, said, take = [], [], Scorer.take
    monkeypatch.setattr(Scorer, "take", lambda *which, **how: tries.append(which[1]) or take(*which, **how))
    monkeypatch.setattr("serve.http.worker.FIRST_WAIT_S", 0.01)
    root, own = tmp_path / "model", make_folder(tmp_path / "data")
    write_version(root, data, seed=1)
    version = write_version(root, own, seed=2)
    scorer, metrics = Scorer(root, version="000001"), Metrics("0")
    os.rename(own / "frozen" / "text", aside := tmp_path / "aside")
    with taking(scorer, shared, metrics):
        shared.wanted = version
        until(lambda: len(tries) >= 3)
        os.rename(own / "frozen" / "image", hidden := tmp_path / "hidden")
        os.rename(aside, own / "frozen" / "text")
        until(lambda: "'image'" in "".join(said.append(capsys.readouterr().err) or said))
        os.rename(hidden, own / "frozen" / "image")
        until(lambda: shared.taken == version)
    assert scorer.version == version and set(tries) == {version}
    logged = "".join([*said, capsys.readouterr().err]).splitlines()
    assert [line.partition("'")[0] for line in logged] == [
        f"version {version} is refused, 000001 goes on: modality "
    ] * 2
    got = lines(metrics.text())
    assert (got["tierwise_version_refusals_total"], got["tierwise_version_swaps_total"]) == (2, 1)


def test_scores_that_are_not_finite_are_refused_at_the_warm_up(own_model, data, shared, quick, capsys):
    version = write_version(own_model, data, seed=2, scale=1e30)
    scorer, metrics = Scorer(own_model, version="000001"), Metrics("0")
    with taking(scorer, shared, metrics):
        shared.wanted = version
        until(lambda: lines(metrics.text())["tierwise_version_refusals_total"] == 1)
    assert "3 of 3 logits that are not finite" in capsys.readouterr().err and scorer.version == "000001"


def test_a_defect_while_a_version_is_opened_ends_no_thread(own_model, data, shared, quick, capsys, monkeypatch):
    second, third = (write_version(own_model, data, seed) for seed in (2, 3))
    scorer, metrics, take = Scorer(own_model, version="000001"), Metrics("0"), Scorer.take

    def broken(self, version, **how):
        if version == second:
            raise RuntimeError("a defect")
        take(self, version, **how)

    monkeypatch.setattr(Scorer, "take", broken)
    with taking(scorer, shared, metrics):
        shared.wanted = second
        until(lambda: lines(metrics.text())["tierwise_version_refusals_total"] == 1)
        shared.wanted = third
        until(lambda: shared.taken == third)
    assert "RuntimeError: a defect" in capsys.readouterr().err and scorer.version == third


def test_a_worker_that_starts_anew_falls_back_on_what_others_score_by(own_model, data, shared, capsys):
    settings, metrics = Settings(model=str(own_model)), Metrics("0")
    shared.wanted = write_version(own_model, data, seed=2)
    half(own_model, shared.wanted)
    with pytest.raises(InputError, match="no READY"):  # nobody has taken any
        open_scorer(settings, shared, metrics)
    shared.taken = "000001"
    assert open_scorer(settings, shared, metrics).version == "000001"
    assert "version 000002 is refused: " in capsys.readouterr().err
    assert lines(metrics.text())["tierwise_version"] == 1 and shared.taken == "000001"
    half(own_model, "000001")
    with pytest.raises(InputError, match="no READY"):
        open_scorer(settings, shared, metrics)
