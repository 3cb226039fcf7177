"""The score command: its settings, and what it says of an open address."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from serve.commands.score import command
from serve.http.settings import Settings
from serve.http.supervisor import Supervisor


@pytest.fixture
def ran(monkeypatch) -> list[Settings]:
    """Settings that a supervisor would have run with."""
    settings: list[Settings] = []
    monkeypatch.setattr(Supervisor, "__init__", lambda self, given: settings.append(given))
    monkeypatch.setattr(Supervisor, "run", lambda self: None)
    return settings


def score(*options: str):
    return CliRunner().invoke(command, ["--model", "models/shop", *options], catch_exceptions=True)


def test_loopback_without_a_note_unless_told(ran, capfd):
    assert score().exit_code == 0 and ran[0].host == "127.0.0.1" and ran[0].token is None
    assert score("--host", "::1").output == ""


def test_an_open_address_without_a_token_is_said_in_one_line(ran, tmp_path: Path):
    for host in ("0.0.0.0", "::", "shop.example"):
        said = score("--host", host).output
        assert said == (
            f"note: whoever reaches {host} may ask; --token-file names a token that requests have to bring\n"
        )
    (tmp_path / "token").write_text("sixteen-letters-or-more\n")
    assert score("--host", "0.0.0.0", "--token-file", str(tmp_path / "token")).output == ""
    assert ran[-1].token == "sixteen-letters-or-more" and ran[-1].allowed_hosts == frozenset()


@pytest.mark.parametrize("port", ["0", "-1", "65536", "x"])
def test_a_port_that_is_none(ran, port):
    done = score("--port", port)
    assert done.exit_code == 2 and not ran


@pytest.mark.parametrize("store", ["text", "=folder", "text="])
def test_a_store_that_is_none(ran, store):
    assert "is not of the form NAME=VALUE" in str(score("--store", store).exception)


def test_stores_and_processes(ran):
    score("--store", "text=a=b", "--store", "image=~/c", "--processes", "64", "--host-name", "shop.example")
    assert ran[0].stores == {"text": "a=b", "image": str(Path.home() / "c")} and ran[0].processes == 64
    assert ran[0].hosts == ("shop.example",)
