"""Fuzzed frozen stores, with their checksums as they were or put right again, and files that stores are built from."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.npy import mutate_npy, mutate_values
from tests.fuzz.mutate.texts import mutate_json, spoil_file

_DTYPES = ["int8", "float16", "float32"]


def correct(store: Path) -> None:
    """Have meta.json say the bytes and digests that the files have now."""
    path = store / "meta.json"
    meta = json.loads(path.read_text())
    for name, entry in meta["files"].items():
        if (store / name).is_file() and (store / name).stat().st_size < 1 << 24:
            data = (store / name).read_bytes()
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    lines = "".join(f"{meta['files'][name]['sha256']}  {name}\n" for name in sorted(meta["files"]))
    meta["checksum"] = hashlib.sha256(lines.encode()).hexdigest()
    path.write_text(json.dumps(meta))


def make(folder: Path, rng: random.Random) -> Case:
    kind = rng.random()
    if kind < 0.12:
        path = folder / "raw" / rng.choice(["ids.npy", "vectors.npy"])
        mutate_npy(path, rng)
        build = ["store", "build", "--out", "built", "--ids", "raw/ids.npy", "--vectors", "raw/vectors.npy"]
        return Case([[*build, "--dtype", rng.choice(_DTYPES)], ["store", "verify", "built"]])
    dtype = rng.choice(_DTYPES)
    shutil.rmtree(folder / "data" / "frozen" / "text")
    store = Path(shutil.copytree(folder / "stores" / dtype, folder / "data" / "frozen" / "text"))
    verify, ctr = ["store", "verify", "data/frozen/text"], ["ctr", "--config", "config.yaml", "train.max_steps=1"]
    show = ["store", "show", "data/frozen/text"]
    if kind < 0.35:
        mutate_json(store / "meta.json", rng)
        return Case(rng.choice([[verify], [show, ctr], [ctr], [verify, ctr]]))
    names = sorted(p.name for p in store.glob("*.npy"))
    path = store / rng.choice(names)
    if rng.random() < 0.1:
        spoil_file(path, rng)
        return Case(rng.choice([[verify], [ctr]]), refused=f"{path.name} is no file of a store any more")
    if kind < 0.6:
        before = path.read_bytes()
        mutate_npy(path, rng)
        if path.is_file() and path.read_bytes() == before:
            os.truncate(path, len(before) - 1)
        return Case([verify], refused=f"{path.name} is not what its digest says")
    if kind < 0.75:
        mutate_values(path, rng)
    else:
        mutate_npy(path, rng)
    correct(store)
    return Case(rng.choice([[verify], [ctr], [verify, ctr]]))


FORMAT = Format("store", ["config.yaml", "data", "stores", "raw"], make)
