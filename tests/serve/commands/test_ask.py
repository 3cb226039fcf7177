"""The ask command against a scorer in this process: requests and answers as printed, and who does not answer."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from embeddings.errors import InputError
from serve.commands.ask import command
from serve.scorer import Scorer
from tests.recsys.exported.artefacts import export
from tests.serve.http.served import served
from tests.serve.tiny_model import REQUEST, SETTINGS

TOKEN = "a-token-of-enough-letters"


def asked(scorer: Scorer, *options: str, ready: bool = True, token: str | None = None) -> Result:
    async def run() -> Result:
        async with served(scorer, token=token) as server:
            server.application.ready = ready
            arguments = ["--url", f"http://127.0.0.1:{server.port}/", *options]
            return await asyncio.to_thread(CliRunner().invoke, command, arguments)

    return asyncio.run(run())


def test_prints_three_requests_and_their_answers(scorer):
    result = asked(scorer)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    assert [line.split(",")[1] for line in lines if line.startswith("answer,")] == [" status 200"] * 2 + [" status 400"]
    sent = [json.loads(line) for line in lines if line.startswith('{"context"')]
    assert sent[0] == REQUEST
    assert sent[1]["context"] == {**REQUEST["context"], "history": [], "bought": []}
    assert sent[2]["candidates"] == {}
    answer = json.loads(next(line for line in lines if line.startswith('{"scores"')))
    assert answer["scores"] == pytest.approx(scorer.score(**REQUEST).scores.tolist(), abs=1e-4)
    assert lines[-1].startswith("the page for people: http://127.0.0.1:") and lines[-1].endswith("/")


def test_long_lists_are_cut_to_what_can_be_read(data, tmp_path: Path):
    long = {**REQUEST, "context": {**REQUEST["context"], "history": list(range(40))}}
    result = asked(Scorer(export(tmp_path / "m", data, SETTINGS, requests=(long,)).root))
    assert '"history": [0, 1, 2, 3, 4, ... 40 values]' in result.output


def test_a_model_without_an_example_is_said(data, tmp_path: Path):
    result = asked(Scorer(export(tmp_path / "m", data, SETTINGS).root))
    assert isinstance(result.exception, InputError) and "without warm-up requests" in str(result.exception)


def test_who_does_not_answer_is_named(scorer):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for arguments, said in ((["--url", url], "does not answer"), (["--url", "file:///etc/passwd"], "wanted http")):
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, InputError) and said in str(result.exception)
    result = asked(scorer, ready=False)
    assert isinstance(result.exception, InputError) and "starting or stopping" in str(result.exception)


def test_a_token_comes_from_a_file(scorer, tmp_path: Path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "other").write_text(TOKEN + "2\n")
    result = asked(scorer, "--token-file", str(tmp_path / "token"), token=TOKEN)
    assert result.exit_code == 0 and result.output.count("status 200") == 2 and TOKEN not in result.output
    for options, came in (((), "none came"), (("--token-file", str(tmp_path / "other")), "another one came")):
        error = str(asked(scorer, *options, token=TOKEN).exception)
        assert came in error and "--token-file" in error and TOKEN not in error
