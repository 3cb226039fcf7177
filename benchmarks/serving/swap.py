"""Swaps under load: a scorer takes one new version after another while wrk and a checking client ask it."""

import shutil
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import append, show
from benchmarks.serving.contender import post, serving
from benchmarks.serving.load import Load, most
from benchmarks.serving.market import build_model, request
from embeddings.errors import InputError
from recsys.exported.versions import Versions

PORT = 18_610
PER_SWAP_S = 2.0


def measure(folder: Path, swaps: int, processes: int, connections: int, results: Path) -> None:
    """One row: failed requests, answers that no single version gives, p99 with and without swaps."""
    model = Path(build_model(folder))
    swapped = folder / "models" / "swapped"
    shutil.rmtree(swapped, ignore_errors=True)
    shutil.copytree(model, swapped)
    versions = Versions(swapped)
    first = versions.current()
    bodies = [request(100, 50, seed) for seed in range(20)]
    with serving("ours", str(swapped), PORT, processes):
        calm = most(PORT, bodies, connections, 10)
        answers: dict[str, set[tuple[float, ...]]] = {}
        done = threading.Event()
        asking = threading.Thread(target=_ask, args=(bodies[0], answers, done))
        loaded: list[Load] = []
        loading = threading.Thread(
            target=lambda: loaded.append(most(PORT, bodies, connections, swaps * PER_SWAP_S + 5))
        )
        asking.start()
        loading.start()
        for number in range(1, swaps + 1):
            _publish(Versions(model).folder(first), versions, int(first) + number)
            time.sleep(PER_SWAP_S)
        loading.join()
        done.set()
        asking.join()
    (during,) = loaded
    mixed = sum(len(found) > 1 for found in answers.values())
    row = {
        "case": "swap",
        "swaps": swaps,
        "seen": len(answers),
        "processes": processes,
        "connections": connections,
        "requests": during.requests,
        "failed": during.failed,
        "mixed": mixed,
        "calm": vars(calm),
        "during": vars(during),
    }
    show(append("serving", row, results))
    if during.failed or mixed:
        raise InputError(f"{during.failed} requests failed and {mixed} versions gave more than one answer")


def _ask(body: dict, answers: dict[str, set[tuple[float, ...]]], done: threading.Event) -> None:
    """Version -> the logits that it was seen to answer with."""
    while not done.is_set():
        answer = post(PORT, body)
        answers.setdefault(answer["version"], set()).add(tuple(answer["logits"]))
        time.sleep(0.02)


def _publish(source: Path, versions: Versions, number: int) -> None:
    """A version whose item table is the first one's times a number of its own, so that its answers are its own."""
    from embeddings.files.file_entry import FileEntry
    from recsys.exported.manifest import Manifest, read_manifest, write_manifest

    manifest = read_manifest(source)
    with versions.writing(manifest.source.step, 3) as (version, folder):
        assert int(version) == number
        shutil.copytree(source, folder, dirs_exist_ok=True)
        path = folder / "tables" / "item.npy"
        table = np.load(path)
        np.save(path, table * np.float32(1 + number / 100))
        facts = manifest.model_dump(mode="json") | {"version": version}
        facts["files"]["tables/item.npy"] = FileEntry.of(path).model_dump()
        write_manifest(folder, Manifest.model_validate(facts))
