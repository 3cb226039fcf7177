"""Memory of a process: what the kernel says of it, and a child that measures its own under a limit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# that hands freed memory back, so that what is counted is what is held
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}


def status_bytes(key: str) -> int:
    """Bytes that /proc/self/status says. RssAnon leaves out mapped files, which the kernel can drop at will."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def measured_in_child(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON row that ``module._child(*arguments)`` prints last, in a process of its own with ``ALLOCATOR``.

    ``failed`` in it, and nothing else, is what went wrong.
    """
    code = f"import sys; from {module} import _child; _child(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ALLOCATOR}, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])
