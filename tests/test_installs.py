"""What make installs stays small: the pinned torch, and nothing of CUDA beside it."""

import re
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bidual as bd

ROOT = Path(bd.__file__).parent
if not (ROOT / "constraints.txt").exists():
    pytest.skip("needs the checkout, not an installed wheel", allow_module_level=True)
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES if not line.startswith("#")]


def test_every_install_of_the_makefile_is_held_to_the_constraints():
    commands = re.findall(r".*pip install.*", (ROOT / "Makefile").read_text())
    assert commands
    assert all("--constraint constraints.txt" in command for command in commands)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_torch_is_pinned_on_every_platform_and_on_linux_to_a_build_without_cuda(platform):
    (pin,) = [pin for pin in PINS if pin.marker.evaluate({"sys_platform": platform})]
    assert pin.name == "torch"
    assert str(pin.specifier) == "==2.13.0" + ("+cpu" if platform == "linux" else "")


@pytest.mark.slow  # test-all installs torch
def test_the_pinned_torch_is_installed_and_nothing_of_cuda():
    pytest.importorskip("torch", reason="needs torch; make test-all installs it")
    (pin,) = [pin for pin in PINS if pin.marker.evaluate()]
    assert pin.specifier.contains(version("torch"))
    names = {each.metadata["Name"].lower() for each in distributions()}
    assert {"snntorch", "spikingjelly", "nir", "nirtorch"} <= names
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton"))}
