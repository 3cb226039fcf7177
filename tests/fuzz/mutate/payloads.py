"""Files that would run something, were they trusted: pickles, YAML tags, array files of objects, torch archives.

All of them make a file below ``markers`` beside them, which no case may leave.
"""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

MARKERS = "markers"


class _Reduced:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple:
        return self._call


def marker(folder: Path, name: str) -> Path:
    """A file that only something which was run makes. ``folder`` is the case's, or one below it."""
    root = next((p for p in (folder, *folder.parents) if (p / MARKERS).is_dir()), folder)
    return root / MARKERS / name


def pickles(folder: Path) -> list[Any]:
    """Objects whose unpickling runs something."""
    made = str(marker(folder, "pickle"))
    code = f"open({made!r}, 'w').close()"
    return [
        _Reduced(os.system, f"touch {made}"),
        _Reduced(exec, code),
        _Reduced(eval, f"__import__('os').system('touch {made}')"),
        _Reduced(os.mkdir, made),
        _Reduced(getattr, _Reduced(__import__, "os"), "system"),
        _Reduced(__import__("subprocess").getoutput, f"touch {made}"),
        _Reduced(
            __import__("torch")._utils._rebuild_tensor_v2, _Reduced(os.system, f"touch {made}"), 0, (), (), False, {}
        ),
        _Reduced(__import__("collections").OrderedDict, _Reduced(os.mkdir, made)),
    ]


def pickled(folder: Path, rng: random.Random) -> bytes:
    """A hostile pickle, alone or among plain data."""
    value = rng.choice(pickles(folder))
    return pickle.dumps(rng.choice([value, {"a": value}, [1, value]]), protocol=rng.choice([0, 2, 4]))


def torch_file(folder: Path, rng: random.Random) -> bytes:
    """A hostile file as ``torch.save`` writes them: a zip archive, or a bare pickle as of old."""
    if rng.random() < 0.3:
        return pickled(folder, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(folder, rng))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        if rng.random() < 0.3:
            archive.writestr("archive/constants.pkl", pickled(folder, rng))
            archive.writestr("archive/code/__torch__.py", f"import os\nos.system('touch {marker(folder, 'code')}')\n")
    return out.getvalue()


def object_array(folder: Path, rng: random.Random, shape: tuple[int, ...]) -> bytes:
    """An .npy file of objects, which are pickled."""
    array = np.empty(shape, dtype=object)
    array.reshape(-1)[0] = rng.choice(pickles(folder))
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def yaml_bombs(folder: Path) -> list[bytes]:
    """YAML that would run something, read a file or the environment, or grow without end."""
    made = str(marker(folder, "yaml")).encode()
    lol = b"".join(b"l%d: &l%d [%s]\n" % (n, n, b",".join([b"*l%d" % (n - 1)] * 10)) for n in range(1, 10))
    grow = b"".join(b"v%d: ${v%d}${v%d}${v%d}${v%d}\n" % (n, *[n - 1] * 4) for n in range(1, 16))
    return [
        b"!!python/object/apply:os.system ['touch " + made + b"']\n",
        b"!!python/object/new:os.system ['touch " + made + b"']\n",
        b"!!python/name:os.system\n",
        b"!!python/object/apply:builtins.exec [\"open('" + made + b"','w')\"]\n",
        b"l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n" + lol,
        b"v0: " + b"x" * 20 + b"\n" + grow,
        b"a: &a [*a]\n",
        b"a: &a {b: *a}\n",
        b"? [1, 2]\n: 3\n",
        b"? {a: 1}\n: 3\n",
        b"<<: [1, 2]\n",
        b"<<: {data: {path: x}}\n",
        b"data: ${data}\n",
        b"data: ${oc.env:HOME}\n",
        b"data: ${oc.decode:${oc.env:HOME}}\n",
        b"data: ${oc.create:{a: 1}}\n",
        b"model: ${.}\n",
        b"1: 2\n",
        b"null: 2\n",
        b"true: 2\n",
        b"2024-01-01: 2\n",
        b"1.5: 2\n",
        b"!!binary aGVsbG8=: 2\n",
        b"x: !!binary aGVsbG8=\n",
        b"x: !!set {a, b}\n",
        b"x: !!omap [a: 1]\n",
        b"x: !!timestamp 2024-99-99\n",
        b"x: 0x" + b"f" * 5000 + b"\n",
        b"x: 1:" + b"59:" * 3000 + b"59\n",
        b"x: ???\n",
        b"%YAML 9.9\n---\nx: 1\n",
        b"a: 1\na: 2\n",
        b"x: !unknown y\n",
        b"x: &a 1\ny: &a 2\nz: *b\n",
    ]
