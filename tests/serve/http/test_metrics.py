"""Metrics of several processes in one folder: places that are taken over, gauges of those that ended."""

import os
from pathlib import Path

import pytest
from prometheus_client import values

from embeddings.errors import InputError
from serve.http import metrics
from serve.http.metrics import FOLDER, Metrics, Refusals, has_ended, metrics_folder, remove_metrics_folder


@pytest.fixture(autouse=True)
def others_count_for_themselves(monkeypatch):
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)


def lines(text: bytes) -> dict[str, float]:
    pairs = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_all_processes_are_counted_together_and_the_next_in_a_place_counts_on(scorer):
    from tests.serve.tiny_model import REQUEST

    answer = scorer.score(REQUEST["context"], {**REQUEST["candidates"], "item": [5, 60, 10**6]})
    with metrics_folder():
        folder = Path(os.environ[FOLDER])
        assert folder.stat().st_mode & 0o777 == 0o700
        first, second = Metrics("0"), Metrics("1")
        assert "tierwise_oldest_version" not in lines(first.text())  # a worker that still opens its model is not 0
        first.version("000001", swapped=False)
        second.version("000002", swapped=True)
        for one in (first, second):
            one.status("200")
            one.answered(answer, 0.003, 0.001)
            one.waiting(2)
        Refusals("supervisor").refusal()
        got = lines(first.text())
        assert got['tierwise_requests_total{status="200"}'] == 2 and got["tierwise_version_refusals_total"] == 1
        assert got["tierwise_oldest_version"] == 1 and got["tierwise_version"] == 2 and got["tierwise_waiting"] == 4
        assert got["tierwise_candidates_sum"] == 6 and got["tierwise_unknown_items_total"] == 4
        assert got['tierwise_missing_vectors_total{modality="text"}'] == 4 and got["tierwise_version_swaps_total"] == 1
        has_ended("0")
        got = lines(second.text())
        assert got["tierwise_oldest_version"] == 2 and got["tierwise_waiting"] == 2
        assert got['tierwise_requests_total{status="200"}'] == 2  # what it had counted stays
        files = sorted(folder.iterdir())
        for _ in range(3):
            again = Metrics("0")
            again.version("000002", swapped=False)
            again.status("200")
        assert len(list(folder.iterdir())) == len(files) + 3  # the gauges that had gone; no more with each process
        assert lines(second.text())['tierwise_requests_total{status="200"}'] == 5
    assert not folder.exists() and FOLDER not in os.environ


def test_alone_a_process_counts_for_itself():
    one = Metrics("0")
    one.status("404")
    assert lines(one.text())['tierwise_requests_total{status="404"}'] == 1
    remove_metrics_folder()


def test_a_folder_goes_with_the_workers_of_a_supervisor_that_was_killed():
    with metrics_folder():
        folder = Path(os.environ[FOLDER])
        counted = Metrics("0")
        remove_metrics_folder()
        assert not folder.exists()
        counted.status("200")


def test_no_place_for_the_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(metrics, "_MEMORY", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"no folder for metrics can be made .*TMPDIR"):
        metrics_folder().__enter__()
