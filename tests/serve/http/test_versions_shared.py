"""Two versions in memory that processes share."""

import multiprocessing

from serve.http.versions_shared import SharedVersions


def test_versions_are_names_again():
    shared = SharedVersions(multiprocessing.get_context("spawn"), "000007")
    assert (shared.wanted, shared.taken) == ("000007", None)
    shared.wanted, shared.taken = "1234567890", "000007"
    assert (shared.wanted, shared.taken) == ("1234567890", "000007")


def test_deltas_come_with_their_version():
    shared = SharedVersions(multiprocessing.get_context("spawn"), "000007")
    shared.wanted_deltas = "999999999999", (1 << 23) - 1
    assert shared.wanted_deltas == ("999999999999", (1 << 23) - 1) and shared.wanted == "999999999999"
    shared.wanted = "000008"
    assert shared.wanted_deltas == ("000008", 0)
    with shared.folder_of_deltas():
        folder = shared.merged("000008", 3)
        assert folder.name == "000008+3" and folder.parent.is_dir()
    assert not folder.parent.exists()
