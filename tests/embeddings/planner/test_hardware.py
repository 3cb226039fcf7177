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
        (GOOD + ", spare: lots}", "spare: Input should be a valid number, .*got 'lots'"),
        (GOOD + ", spare: -1}", "spare: Input should be greater than or equal to 0, got -1"),
        (GOOD + ", hbm_gib: .nan}", "hbm_gib: Input should be a finite number, got nan"),
        (GOOD + ", tflops: .inf}", "tflops: Input should be a finite number, got inf"),
        (GOOD + ", spare: 2}", "spare: Input should be less than 1, got 2"),
        (GOOD + ", reach: 0}", "reach: Input should be greater than or equal to 0.001, got 0"),
        (
            GOOD.replace("local_world_size: 1", "local_world_size: 0") + "}",
            "local_world_size: Input should be greater than or equal to 1, got 0",
        ),
        (
            GOOD.replace("local_world_size: 1", "local_world_size: 2.5") + "}",
            "local_world_size: Input should be a valid integer, got a number with a fractional part, got 2.5",
        ),
        (GOOD + ", speed: 5}", "speed: keys are expected, such as key: value, got '5'"),
        (GOOD.replace("ddr_gib: 4, ", "") + "}", "ddr_gib: Field required"),
        (GOOD.replace("cpu", "tpu") + "}", "device: Input should be 'cpu' or 'cuda', got 'tpu'"),
        (GOOD.replace("cpu", "cuda") + "}", "hbm_gib is 0; a cuda device needs at least 0.001"),
        ("{", "not readable YAML"),
        ("[1]", "keys are expected, such as key: value, got "),
        (GOOD + ", speed: {step_ms: null}}", "speed.step_ms: Input should be a valid number, got null"),
        (GOOD + ", tflops: 1" + 400 * "0" + "}", "tflops: Input should be"),
        (GOOD + ", tflops: 1e400}", "tflops: Input should be a finite number, got inf"),
        (GOOD + ", tflops: 1e-300}", "tflops is 1e-300; a cpu device needs at least 0.001"),
        (GOOD + ", spare: 2024-11-30}", "spare: Input should be a valid number, .*got '2024-11-30'"),
        (
            GOOD.replace("ddr_gib: 4", "ddr_gib: 1e-300") + "}",
            "ddr_gib: Input should be greater",
        ),
    ],
)
def test_mistakes(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        load_hardware(str(path))
    assert str(path) in str(error.value) and len(str(error.value)) < 500


def test_a_date_or_a_number_where_text_belongs_is_that_text(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(GOOD.replace("name: x", "name: 1_0") + ", calibrated: 2024-11-30}")
    hardware = load_hardware(str(tmp_path / "own.yaml"))
    assert (hardware.name, hardware.calibrated) == ("1_0", "2024-11-30")


def test_unknown_part():
    with pytest.raises(InputError, match="no shipped part; did you mean 'h100-80'"):
        load_hardware("h100_80")
