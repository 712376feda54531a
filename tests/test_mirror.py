"""Tests stand where the modules stand that they test."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["vae", "experiments"]


def files_of(package: str) -> set[Path]:
    """The test files that the modules of a package should have."""
    return {
        Path("tests") / path.relative_to(ROOT).with_name(f"test_{path.name}")
        for path in (ROOT / package).glob("**/*.py")
        if path.name != "__init__.py"
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_tests_and_every_test_its_module(package: str) -> None:
    found = {
        path.relative_to(ROOT)
        for path in (ROOT / "tests" / package).glob("**/test_*.py")
    }
    wanted = files_of(package)
    assert not wanted - found, "modules without tests"
    assert not found - wanted, "tests without a module"
