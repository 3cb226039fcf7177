"""The pinned lists: each pin has hashes, what pip is given is what is edited, and torch gets what it needs."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

FOLDER = ROOT / "requirements"
LISTS = sorted(path.stem for path in FOLDER.glob("*.in"))
HASH = re.compile(r" --hash=sha256:[0-9a-f]{64}")


def edited(name: str) -> dict[str, Requirement]:
    """The pins of NAME.in, by package."""
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def given(name: str) -> dict[str, tuple[Requirement, int]]:
    """What pip is given: the pins of NAME.txt by package, and how many hashes each has."""
    pins = {}
    text = re.sub(r" *\\\n *", " ", (FOLDER / f"{name}.txt").read_text())
    for line in text.splitlines():
        if not line.startswith("#"):
            pin = Requirement(HASH.sub("", line))
            pins[canonicalize_name(pin.name)] = (pin, len(HASH.findall(line)))
    return pins


def test_there_are_lists():
    assert {"base", "build", "torch", "cpu", "cuda", "test"} <= set(LISTS)
    assert LISTS == sorted(path.stem for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_hashes(name: str):
    for pin, hashes in given(name).values():
        assert hashes and [each.operator for each in pin.specifier] == ["=="], pin
        assert pin.url is None


@pytest.mark.parametrize("name", LISTS)
def test_pip_is_given_what_is_edited(name: str):
    pins, wanted = given(name), edited(name)
    assert wanted.keys() <= pins.keys() if name == "audit" else wanted.keys() == pins.keys(), "run 'make pins'"
    for package, pin in wanted.items():
        assert pins[package][0].specifier == pin.specifier, "run 'make pins'"
        assert (pins[package][0].marker is None) == (pin.marker is None)


def test_no_list_names_a_place():
    for path in FOLDER.iterdir():
        assert "://" not in path.read_text() and "--index-url" not in path.read_text(), path


def test_one_version_of_a_package():
    versions: dict[str, set[str]] = {}
    for name in set(LISTS) - {"audit"}:
        for package, (pin, _) in given(name).items():
            versions.setdefault(package, set()).add(str(pin.specifier))
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_torch_gets_what_it_needs():
    """The lists are installed without looking at needs, so they must hold them: those of the torch that runs this."""
    pins = {package: pin for name in ("base", "torch", "torch-cuda") for package, (pin, _) in given(name).items()}
    for need in map(Requirement, requires("torch") or []):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            (pinned,) = pins[canonicalize_name(need.name)].specifier
            assert pinned.version in need.specifier, need


def test_pip_installs_lists_by_their_hashes_alone():
    """Everything but the package itself, which is here."""
    script = Path(FOLDER, "install.sh").read_text()
    assert re.findall(r"pip install (?!--require-hashes)", script) == []
    assert "--no-deps --no-build-isolation --editable ." in script
