"""The documents agree with the code: keys of results, links, flags, fields, configs."""

import ast
import dataclasses
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs import default
from experiments.launches import EXPERIMENTS
from tests.conftest import ROOT
from tests.test_imports import RANKS
from vae.build import operative
from vae.data.sources import SOURCES
from vae.evaluation.registry import EVALUATIONS
from vae.registry import (
    DECODERS,
    ENCODERS,
    LIKELIHOODS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
)
from vae.renamed import flatten, with_new_keys

PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").glob("*.md")),
]
DICTIONARY = ROOT / "docs" / "evaluation.md"
FIRST_RUN = ROOT / "tests" / "data" / "first_run"
# Of launch.py itself, of absl, of other programs, and NAME, which stands for any.
OTHER_FLAGS = {
    "tracker",
    *("experiment", "multihost", "deterministic", "keep_compiled", "help"),
    *("strict", "pythonpath", "smoke", "xla_gpu_deterministic_ops", "FLAG"),
}
AXES = {
    "objective": OBJECTIVES,
    "model.posterior": POSTERIORS,
    "model.prior": PRIORS,
    "model.likelihood": LIKELIHOODS,
    "model.encoder": ENCODERS,
    "model.decoder": DECODERS,
}
ANY = r"[\w.]+"  # what a placeholder without alternatives stands for

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def tables(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Gives each row of the page's tables: its table's first heading, and its cells."""
    heading, is_inside = "", False
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            is_inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not is_inside:
            heading, is_inside = cells[0], True
        elif not set(cells[0]) <= {"-"}:
            yield heading, cells


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


PLACEHOLDERS = {
    quoted(cells[0])[0].strip("{}"): quoted(cells[1])
    for heading, cells in tables(DICTIONARY)
    if heading == "placeholder"
}
ENTRIES = [
    key
    for heading, cells in tables(DICTIONARY)
    if heading == "key"
    for key in quoted(cells[0])
]


def pattern_of(entry: str) -> str:
    """Returns the regular expression of the keys that an entry stands for."""
    parts = re.split(r"\{(\w+)\}", entry)
    parts[::2] = map(re.escape, parts[::2])
    for i in range(1, len(parts), 2):
        among = [each for each in PLACEHOLDERS[parts[i]] if "evaluate." not in each]
        parts[i] = f"(?:{'|'.join(map(pattern_of, among)) or ANY})"
    return "".join(parts)


DEFINED = re.compile("|".join(map(pattern_of, ENTRIES)))


def kept_results() -> Iterator[tuple[str, dict[str, Any]]]:
    """Gives the results that the repository keeps, each with where they are."""
    for path in sorted((ROOT / "experiments" / "results").glob("**/results.json")):
        yield str(path), json.loads(path.read_text())
    for path in sorted((ROOT / "experiments" / "results").glob("*/table.json")):
        for row in json.loads(path.read_text()).get("rows", []):
            for results in row.get("results", []):
                yield f"{path}, {row['name']}", results
    yield str(FIRST_RUN), json.loads((FIRST_RUN / "results.json").read_text())
    for line in (FIRST_RUN / "metrics.jsonl").read_text().splitlines():
        yield f"{FIRST_RUN}, metrics", {**json.loads(line), "step": None}


def test_every_kept_result_is_in_the_dictionary() -> None:
    found = [*kept_results()]
    assert len(found) > 100
    missing = {
        f"{key} ({where})"
        for where, results in found
        for key in with_new_keys(results)
        if key != "step" and not DEFINED.fullmatch(key)
    }
    assert not missing


@pytest.mark.parametrize("name", EVALUATIONS)
def test_what_an_evaluation_shows_is_in_the_dictionary(name: str) -> None:
    fields = operative(default.get_config())["evaluate"].get(name, {})
    shown = EVALUATIONS[name].shows(7, **fields)
    assert all(DEFINED.fullmatch(key) for key in shown), shown


@pytest.mark.parametrize(
    "key", ["test/nll_nats", "anomaly/elbo_auroc", "test/elbo_nats2", "latent/x"]
)
def test_the_dictionary_does_not_take_any_key(key: str) -> None:
    assert not DEFINED.fullmatch(key)


def test_entries_are_defined_once_with_a_unit_and_a_formula() -> None:
    assert len(ENTRIES) == len(set(ENTRIES))
    for heading, cells in tables(DICTIONARY):
        if heading == "key":
            assert len(cells) == 4, cells
            assert cells[1], cells
            assert cells[2], cells


def test_the_readme_is_short_and_has_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert lines.count("```bash") == 2  # those that .ci/run launches


def anchor_of(heading: str) -> str:
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


def anchors(page: Path) -> set[str]:
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {anchor_of(each) for each in headings} | {*re.findall(r'id="(.*?)"', text)}


@pages
def test_links_and_pictures_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="(.*?)"', text)
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_flags_exist(page: Path) -> None:
    known = {f.name for kind in EXPERIMENTS.values() for f in dataclasses.fields(kind)}
    known |= OTHER_FLAGS
    for flag in re.findall(r"(?<![\w-])--(\w+)", page.read_text()):
        assert {flag, flag.removeprefix("no")} & known, flag
    for name in re.findall(r"--experiment=(\w+)", page.read_text()):
        assert name in {*EXPERIMENTS, "A", "B", "NAME"}, name


FIELDS = {*flatten(operative(default.get_config()))}
GROUPS = {field.rpartition(".")[0] for field in FIELDS} | {"train"}
TOP = "|".join(sorted({group.partition(".")[0] for group in GROUPS} - {""}))


@pages
def test_fields_exist(page: Path) -> None:
    """Those of flags, of sweeps, and in backticks."""
    text = page.read_text()
    named = re.findall(r"--config\.([\w.]+)|--sweep=([\w.]+)=", text)
    fields = {field for pair in named for field in pair} - {"", "FIELD"}
    fields |= {*re.findall(rf"`((?:{TOP})(?:\.\w+)+)[=`]", text)}
    assert not fields - FIELDS - GROUPS - {"model.safetensors"}  # a file


@pages
def test_files_of_the_repository_exist(page: Path) -> None:
    named = re.findall(
        r"(?<![\w/])((?:vae|configs|experiments|examples|benchmarks|tests|docs)/[\w./]+\w)",
        page.read_text(),
    )
    written = {"benchmarks/results/gpu.json", "vae/compiled"}  # by programs
    for name in {*named} - written:
        assert "NAME" in name or (ROOT / name).exists(), name
    for name in re.findall(r"(?<![\w/])(requirements[\w-]*\.txt)", page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.sampled(1)
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_runs_as_printed(page: str) -> None:
    """Except that it trains for two steps, and uses that model in place of a run."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S
    )
    code = "\n".join(blocks).replace("steps=2_000", "steps=2")
    code = code.replace('fitted = vae.load("runs/quickstart")', "")
    variables: dict[str, Any] = {}
    exec(compile(code, page, "exec"), variables)
    assert np.isfinite(variables["estimate"].value).all()
    assert variables["images"].shape[1:] == (28, 28, 1)


def test_every_method_and_data_source_is_named() -> None:
    axes = {
        name: {*quoted(cells[2])}
        for heading, cells in tables(ROOT / "docs" / "launching.md")
        for name in quoted(cells[1])
        if heading == "axis"
    }
    assert axes and all(menu.keys() <= axes[f"{p}.name"] for p, menu in AXES.items())
    data = " ".join(c[0] for h, c in tables(ROOT / "docs" / "data.md") if h == "name")
    assert all(re.search(rf"`{kind}[`:]", data) for kind in SOURCES)
    counts = (
        f"{len(OBJECTIVES)} objectives, {len(POSTERIORS)} posteriors, {len(PRIORS)} "
        f"priors, {len(LIKELIHOODS)} likelihoods and {len(ENCODERS)} architectures"
    )
    assert counts in " ".join((ROOT / "README.md").read_text().split())


def test_the_ranks_of_imports_are_those_of_the_design() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    assert all(f"`{module}" in text for rank in RANKS for module in rank)


MESSAGES = [
    quoted(cells[0])[0]
    for heading, cells in tables(ROOT / "docs" / "troubleshooting.md")
    if heading == "message"
]


@functools.cache
def texts_of_code() -> str:
    """Returns every text of the code; a value within it is a line break."""
    texts = [(ROOT / "launch.py").read_text()]
    for path in [*ROOT.glob("vae/**/*.py"), *ROOT.glob("experiments/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "\n") for part in node.values]
                texts.append("".join(p if isinstance(p, str) else "\n" for p in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_those_of_the_code(message: str) -> None:
    """Between the words in capitals, which stand for values."""
    for part in re.split(r"[A-Z_]+\b|\d[\d,]*|\.\.\.|[?()]", message):
        assert part.strip(" =:;,'") in texts_of_code(), part
