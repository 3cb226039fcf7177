"""Memory of a process: what the kernel says of it, and a child process that measures its own under a limit."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from embeddings.errors import InputError

# An allocator that hands freed memory back, so that what is counted is what is held.
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}


def status_bytes(key: str) -> int:
    """Bytes that /proc/self/status says. RssAnon leaves out mapped files, which the kernel can drop at will."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def limit_data(limit_bytes: int) -> int:
    """Let this process hold so many bytes more than now on its heap and in private mappings (RLIMIT_DATA).

    The kernel enforces it: an allocation beyond fails. Threads started from now on have stacks of 1 MiB: of 8 MiB
    otherwise, all of which the limit counts though little is ever touched. Returns the bytes held now, VmData.
    """
    import resource
    import threading

    threading.stack_size(1 << 20)
    held = status_bytes("VmData")
    resource.setrlimit(resource.RLIMIT_DATA, (held + limit_bytes, held + limit_bytes))
    return held


def measure_in_child(
    module: str, *arguments: str, failure: str, environment: Mapping[str, str] = ALLOCATOR
) -> dict[str, Any]:
    """The JSON object that ``module.child(*arguments)`` prints last, in a process of its own with ``environment``.

    Raises InputError where it fails: ``failure``, and the last line of the child's standard error.
    """
    code = f"import sys; from {module} import child; child(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise InputError(f"{failure}: {last}")
    return json.loads(done.stdout.splitlines()[-1])
