"""What the tests of checkpoints ask of a run: its checkpoints, to go on, a file of it cut in half."""

from pathlib import Path

from tests.train.launch import Done, cli


def checkpoints(run: Path) -> list[str]:
    return sorted(p.name for p in (run / "checkpoints").iterdir())


def resumed(run: Path, *overrides: str) -> Done:
    return cli("ctr", "--config", run.parent.parent / "run.yaml", "run.resume=true", "train.epochs=3", *overrides)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
