"""Lines that cannot be written are lost, and end nothing."""

import sys

import pytest

from serve.http.log import log


def test_a_full_disk_and_a_closed_stream(monkeypatch, capsys):
    log("said")
    assert capsys.readouterr().err == "said\n"
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log("lost")
        with pytest.raises(OSError):
            full.close()
    log("closed")
    monkeypatch.setattr(sys, "stderr", None)
    log("none")
