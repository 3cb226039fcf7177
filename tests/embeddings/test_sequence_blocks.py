"""Sequence tables in blocks over hosts equal whole tables: every embedding, every gradient."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_two_hosts_of_two_ranks_equal_whole_tables():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4", "-m"]
    done = subprocess.run(
        [*command, "tests.embeddings.blocks_worker"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-6000:]
