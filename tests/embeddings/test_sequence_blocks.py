"""Sequence tables in blocks over hosts equal whole tables: every embedding, every gradient."""

import pytest

from tests.train.launch import finished, start_launched_ranks


@pytest.mark.slow
def test_two_hosts_of_two_ranks_equal_whole_tables():
    done = finished(start_launched_ranks(4, module="tests.embeddings.blocks_worker", OMP_NUM_THREADS=1), 200)
    assert done.status == 0, done.err[-6000:]
