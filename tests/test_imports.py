"""The import law: every module imports only what stands before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Modules of one rank do not import each other, except within one entry.
RANKS = [
    {"vae.types", "vae.rng", "vae.fields", "vae.renamed"},
    {"vae.data", "vae.nn", "vae.distributions"},
    {"vae.models"},
    {"vae.objectives"},
    {"vae.training", "vae.latents"},
    {"vae.evaluation"},
    {"vae.bind", "vae.fitted"},
    {"vae.registry"},
    {"vae.compose", "vae.fitting"},
    {"vae.identity", "vae.settings"},
    {"vae.experiment"},
    {"vae.build"},
    {"vae.saved"},
    {"experiments"},
    {"benchmarks"},
    {"experiments.launches"},
    {"launch"},
]
PARTS = {part: rank for rank, parts in enumerate(RANKS) for part in parts}
FILE_WRITERS = (
    "vae.training.checkpoint",
    "vae.training.metrics",
    "vae.data",
    "vae.saved",
)


def part_of(module: str) -> str | None:
    candidates = [p for p in PARTS if module == p or module.startswith(f"{p}.")]
    return max(candidates, key=len, default=None)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> dict[str, Path]:
    paths = [*ROOT.glob("vae/**/*.py"), *ROOT.glob("experiments/**/*.py")]
    paths += [*ROOT.glob("configs/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    paths += [ROOT / "launch.py"]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in paths
    }


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_one_way(module: str) -> None:
    own = part_of(module)
    if module == "vae":
        return
    for name in imported(modules()[module]):
        other = part_of(name)
        if module.startswith("configs"):
            assert other is None, f"{module}: configs import nothing of ours ({name})"
        elif other is not None and other != own:
            assert own is not None, f"{module} stands in no rank"
            assert PARTS[other] < PARTS[own], f"{module} may not import {name}"


@pytest.mark.parametrize("module", sorted(m for m in modules() if "experiments" in m))
def test_experiments_read_no_flags_and_no_config(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(modules()[module])}
    assert not roots & {"absl", "ml_collections"}


@pytest.mark.parametrize("module", sorted(m for m in modules() if m.startswith("vae")))
def test_library_keeps_to_arrays(module: str) -> None:
    names = imported(modules()[module])
    roots = {name.split(".")[0] for name in names}
    assert not roots & {"absl", "rich", "matplotlib"}, (
        "flags, terminals, plots: outside"
    )
    if module != "vae.build":
        assert "ml_collections" not in roots, "only vae.build reads ConfigDict"
    if not module.startswith(FILE_WRITERS):
        assert not roots & {"os", "pathlib", "io", "json"}, "files: elsewhere"


def test_files_are_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.glob("**/*.py")
        if ".venv" not in path.parts
        and (lines := len(path.read_text().splitlines())) > 300
    }
    assert not long
