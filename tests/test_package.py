"""The package that `pip install .` makes: what is in it, and its command."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, launch_environment

ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ABOUT["optional-dependencies"]
PINS = {  # the file of pins, and the extras that it stands for
    "requirements.txt": (),
    "requirements-dev.txt": ("dev",),
    "requirements-ray.txt": ("ray",),
    "requirements-table.txt": ("table", "h5ad"),
    "requirements-tfds.txt": ("tfds",),
    "requirements-benchmark.txt": ("benchmark",),
}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    read = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in read}


def pins_of(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("file", PINS)
def test_pins_lie_in_the_ranges_of_the_package(file: str) -> None:
    extras = [line for extra in PINS[file] for line in EXTRAS[extra]]
    ranges = requirements(extras or ABOUT["dependencies"] + EXTRAS["dev"])
    pins = pins_of(file)
    assert pins
    for name, version in pins.items():
        if name != "jaxlib":  # which jax itself asks for
            assert version in ranges[name].specifier, name
    if file == "requirements.txt":
        assert not requirements(ABOUT["dependencies"]).keys() - pins.keys()


def test_what_is_installed_lies_in_the_ranges_of_the_package() -> None:
    for name, needed in requirements(ABOUT["dependencies"]).items():
        assert metadata.version(name) in needed.specifier, name


def test_hooks_before_a_commit_have_the_pinned_version() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    url = "https://github.com/astral-sh/ruff-pre-commit"
    pin = pins_of("requirements-dev.txt")["ruff"]
    assert re.search(rf"repo: {url}\n +rev: v{re.escape(pin)}\n", hooks)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment in which the wheel is installed, and
    whose other packages are those of this one."""
    place = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns(".*", "runs", "tests", "build", "*.egg-info")
    shutil.copytree(ROOT, place / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = ["wheel", "--no-deps", "--wheel-dir", str(place), str(place / "source")]
    done = subprocess.run([*pip, *wheel], check=False, capture_output=True, text=True)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("a wheel is built with setuptools, which pip cannot download here")
    assert done.returncode == 0, done.stderr
    venv.create(place / "venv", symlinks=True)
    programs = place / "venv" / "bin"
    (built,) = place.glob("vae_jax-*.whl")
    there = ["--python", str(programs / "python"), "install", "--no-deps", str(built)]
    subprocess.run([*pip, *there], check=True, capture_output=True)
    (packages,) = (place / "venv").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    return programs


def in_folder(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=launch_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_package_is_imported_from_where_it_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    code = "import vae, launch, configs.papers; print(vae.__file__)"
    where = Path(in_folder(tmp_path, installed / "python", "-c", code).strip())
    assert where.is_relative_to(installed.parent)
    assert (where.parent / "py.typed").exists()
    packages = where.parents[1]
    for package in ("vae", "experiments", "configs", "benchmarks"):
        ours = (ROOT / package).rglob("*.py")
        wanted = {path.relative_to(ROOT) for path in ours}
        found = (packages / package).rglob("*.py")
        assert {path.relative_to(packages) for path in found} == wanted


@pytest.mark.slow
def test_the_command_launches_from_any_folder(installed: Path, tmp_path: Path) -> None:
    launch = installed / "vae-launch"
    assert "--workdir" in in_folder(tmp_path, launch, "--help")
    config = "--config=configs/quickstart.py:smoke"
    said = in_folder(tmp_path, launch, config, "--workdir=run")
    assert "test/elbo_nats" in said
    sweep = "--experiment=sweep", "--sweep=seed=1"
    in_folder(tmp_path, launch, *sweep, config, "--workdir=seeds")
    report = (tmp_path / "seeds" / "report.html").read_text(encoding="utf-8")
    assert f"vae-launch {' '.join(sweep)}" in report
    assert (
        (tmp_path / "run" / "provenance.json")
        .read_text()
        .count(f'"git_commit": "v{ABOUT["version"]}"')
    )
    assert {path.name for path in tmp_path.iterdir()} == {"run", "seeds"}
