"""The nearline component: what torchrun is told, and where logs go."""

from tests.torchx_components.rendering import rendered, words


def test_runs_the_command_over_processes(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: {path: nowhere}\nrun: {root: all/runs}\n")
    info = rendered(
        "nearline.py:nearline", "--config", str(path), "--stream", "s", "--model", "m", "-j", "1x3",
        "--max_retries", "2", "--", "--stop-after", "3", "run.name=other",
    )  # fmt: skip
    (role,) = info._app.roles
    assert role.env["PET_LOG_DIR"] == "all/runs/other/logs" and role.max_retries == 2
    line = words(info, "torchrun")
    assert line[line.index("--nproc_per_node") + 1] == "3"
    ours = line[line.index("-m") + 1 :]
    assert ours == ["train", "nearline", "--config", str(path), "--stream", "s", "--model", "m", "--publish-s", "10.0",
                    "--stop-after", "3", "run.name=other"]  # fmt: skip
