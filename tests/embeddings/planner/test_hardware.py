"""Hardware files: those that ship, a user's own, and mistakes in them."""

from pathlib import Path

import pytest

from embeddings.errors import InputError
from embeddings.planner.hardware import GIB, load_hardware, save_hardware, shipped_hardware


@pytest.mark.parametrize("name", shipped_hardware())
def test_shipped_parts_are_whole(name: str, tmp_path: Path) -> None:
    part = load_hardware(name)
    assert part.name == name and part.local_world_size >= 1 and part.process_gib > 0
    assert part.device_bytes(part.local_world_size) > 0 and part.host_bytes(part.local_world_size) > 0
    save_hardware(part, tmp_path / "copy.yaml")
    assert load_hardware(str(tmp_path / "copy.yaml")) == part


def test_common_parts_ship():
    assert {"a100-40", "a100-80", "h100-80", "h200", "l4", "cpu-host"} <= set(shipped_hardware())


def test_capacity():
    h100, host = load_hardware("h100-80"), load_hardware("cpu-host")
    assert h100.device_bytes(8) == pytest.approx((0.9 * 80 - 2) * GIB)
    assert h100.host_bytes(8) == pytest.approx(0.9 * 2048 * GIB)
    assert host.host_bytes(2) == pytest.approx(2 * host.device_bytes(2), abs=4)


GOOD = "{name: x, device: cpu, ddr_gib: 4, ddr_gb_per_s: 1, local_world_size: 1, intra_gb_per_s: 1, inter_gb_per_s: 1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + ", hbm_gb: 3}", "unknown key 'hbm_gb'; did you mean 'hbm_gib'"),
        (GOOD + ", speed: {steps_ms: 3}}", "unknown key 'speed.steps_ms'; did you mean 'step_ms'"),
        (GOOD + ", spare: lots}", "spare is 'lots', which is no number"),
        (GOOD + ", spare: -1}", "spare is -1; numbers here are finite and not negative"),
        (GOOD + ", hbm_gib: .nan}", "hbm_gib is nan; numbers here are finite"),
        (GOOD + ", tflops: .inf}", "tflops is inf; numbers here are finite"),
        (GOOD + ", spare: 2}", "spare is 2; it is a share of memory, below 1"),
        (GOOD + ", reach: 0}", "reach is 0; a cpu device needs more"),
        (GOOD.replace("local_world_size: 1", "local_world_size: 0") + "}", "local_world_size is 0"),
        (
            GOOD.replace("local_world_size: 1", "local_world_size: 2.5") + "}",
            "local_world_size is 2.5; ranks are whole",
        ),
        (GOOD + ", speed: 5}", "speed is '5', which holds no keys"),
        (GOOD.replace("ddr_gib: 4, ", "") + "}", "ddr_gib missing"),
        (GOOD.replace("cpu", "tpu") + "}", "device is 'tpu'; allowed: cpu, cuda"),
        (GOOD.replace("cpu", "cuda") + "}", "hbm_gib is 0; a cuda device needs more"),
        ("{", "not readable YAML"),
        ("[1]", "holds no keys"),
    ],
)
def test_mistakes(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says.replace(".", r"\.")) as error:
        load_hardware(str(path))
    assert str(path) in str(error.value)


def test_unknown_part():
    with pytest.raises(InputError, match="no shipped part; did you mean 'h100-80'"):
        load_hardware("h100_80")
