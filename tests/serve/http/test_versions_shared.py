"""Two versions in memory that processes share."""

import multiprocessing

from serve.http.versions_shared import SharedVersions


def test_versions_are_names_again():
    shared = SharedVersions(multiprocessing.get_context("spawn"), "000007")
    assert (shared.wanted, shared.taken) == ("000007", None)
    shared.wanted, shared.taken = "1234567890", "000007"
    assert (shared.wanted, shared.taken) == ("1234567890", "000007")
