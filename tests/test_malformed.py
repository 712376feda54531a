"""Random malformed inputs: each ends in success or in one line, and nothing is left
half-written."""

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs import default
from experiments.workdir import flatten
from tests.conftest import ROOT, launch_command, launch_environment
from tests.helpers.launched import UNOPTIMISED, Start, forks
from vae.build import operative

COUNT = int(os.environ.get("VAE_MALFORMED", "100"))  # of inputs
CONFIG = f"--config={ROOT}/configs/default.py:smoke"
TINY = (
    "--config.train.steps=2",
    "--config.evaluate.bounds.importance_samples=2",
    "--config.model.latent_dim=2",
    "--config.model.encoder.widths=(4,)",
    "--config.model.decoder.widths=(4,)",
    "--config.dataset.batch_size=4",
)
FIELDS = flatten(operative(default.get_config()))

# What a case is: command line, and what is set in the environment.
Case = tuple[list[str], dict[str, str]]


def array(r: random.Random) -> np.ndarray:
    """Draws an array of any shape, type and range."""
    sides = [r.choice((0, 1, 2, 3, 5, 9)) for _ in range(r.randint(0, 5))]
    shape = (r.choice((0, 1, 4, 12)), *sides)
    values = np.random.default_rng(r.getrandbits(32)).normal(
        r.choice((0.0, 0.5, 100.0)), r.choice((0.0, 0.3, 1e30)), shape
    )
    if r.random() < 0.2 and values.size:
        values.flat[0] = r.choice((np.nan, np.inf))
    kind = r.choice(("u1", "i8", "f2", "f4", "f8", "c8", "?", "U3", "O"))
    with np.errstate(all="ignore"):
        return (
            np.nan_to_num(values).astype(kind)
            if kind in "u1i8"
            else values.astype(kind)
        )


def any_npz(r: random.Random, folder: Path) -> list[str]:
    names = ["x_train", "x_test", "y_train", "y_test", "x"]
    arrays: dict[str, Any] = {n: array(r) for n in names if r.random() < 0.7}
    if r.random() < 0.5:  # so that something is often right
        good = np.zeros((8, 4, 4), np.uint8)
        arrays |= {"x_train": good, "x_test": good}
        arrays[r.choice(names)] = array(r)
    path = folder / f"{r.choice(('data', 'daten ä', 'a[b]', '~x'))}.npz"
    np.savez(path, **arrays)
    content = bytearray(path.read_bytes())
    if r.random() < 0.3:
        del content[r.randrange(len(content)) :]
    elif r.random() < 0.3:
        content[r.randrange(len(content))] ^= 255
    path.write_bytes(content)
    return [f"--config.dataset.name=npz:{path}"]


def any_pictures(r: random.Random, folder: Path) -> list[str]:
    place = folder / "pictures"
    for i in range(r.randint(0, 14)):
        parent = place / r.choice(("", "", "a", "train/b", "test/b", ".hidden"))
        parent.mkdir(parents=True, exist_ok=True)
        path = parent / f"{i}{r.choice(('.png', '.jpg', '.tif', '.gif', '.txt'))}"
        mode = r.choice(("L", "L", "RGB", "RGBA", "1", "P"))
        size = r.choice(((4, 4), (4, 4), (4, 4), (1, 9)))
        if path.suffix == ".jpg":
            mode = "L"
        if path.suffix == ".txt":
            path.write_text("no picture")
            continue
        Image.new(mode, size, color=i).save(path)
        if r.random() < 0.1:
            path.write_bytes(path.read_bytes()[: r.randrange(40)])
    return [f"--config.dataset.name=images:{place}"]


def odd_word(r: random.Random) -> str:
    words = "0 -1 1 2 1e4 1e39 1e-60 nan inf None True () (1,) (0,) [] x ä [/b] {} 1,2"
    return r.choice(
        [*words.split(), "", "9" * 25, "model.name", "../..", "$HOME", "%s"]
    )


def any_fields(r: random.Random, folder: Path) -> list[str]:
    # Long runs are no malformed ones.
    names = [n for n in FIELDS if not n.startswith(("train.", "dataset.name"))]
    return [f"--config.{r.choice(names)}={odd_word(r)}" for _ in range(r.randint(1, 2))]


def any_flags(r: random.Random, folder: Path) -> list[str]:
    (folder / "file").write_text("{")
    names = (
        "experiment sweep executor score false_alarm_rate data workdir yes multihost"
    )
    chosen = [f"--{r.choice(names.split())}={odd_word(r)}" for _ in range(2)]
    if r.random() < 0.5:
        verbs = "train evaluate sweep reproduce latents anomaly collect"
        chosen.append(f"--experiment={r.choice(verbs.split())}")
    if r.random() < 0.3:
        chosen.append(f"--workdir={folder}/file")
    # A whole sweep is no malformed one.
    return [*chosen, "--print_only"] if "--experiment=sweep" in chosen else chosen


ENVIRONMENTS = (
    {"JAX_PLATFORMS": "cuda"},
    {"JAX_PLATFORMS": "nosuch"},
    {"JAX_NUM_CPU_DEVICES": "abc"},
    {"JAX_NUM_CPU_DEVICES": "-3"},
    {"JAX_ENABLE_X64": "maybe"},
    {"XDG_CACHE_HOME": "/dev/null"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
)
KINDS: tuple[Callable[[random.Random, Path], list[str]], ...] = (
    any_npz,
    any_pictures,
    any_fields,
    any_flags,
)


def draw_case(number: int, folder: Path) -> Case:
    if number < len(ENVIRONMENTS):
        return [CONFIG, *TINY, f"--workdir={folder}/run"], ENVIRONMENTS[number]
    r = random.Random(number)
    words = KINDS[number % len(KINDS)](r, folder)
    is_elsewhere = any(word.startswith("--workdir") for word in words)
    place = [] if is_elsewhere else [f"--workdir={folder}/run"]
    return [CONFIG, *TINY, *words, *place], {}


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with forks(**UNOPTIMISED) as start:
        yield start


def do(case: Case, folder: Path, start: Start) -> tuple[int, str, str]:
    """Returns status, standard output and standard error."""
    arguments, environment = case
    if environment:  # is read when JAX is imported: no fork will do
        done = subprocess.run(
            launch_command(*arguments),
            check=False,
            cwd=folder,
            env=launch_environment(**UNOPTIMISED, **environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr
    return start(folder, *arguments).wait()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(COUNT))
def test_a_malformed_input_ends_in_one_line(
    number: int, tmp_path: Path, start: Start
) -> None:
    case = draw_case(number, tmp_path)
    status, out, err = do(case, tmp_path, start)
    said = f"{case}: {status}, {out}, {err}"
    assert status in (0, 2, 3), said
    for word in ("Traceback", "fault of this program"):
        assert word not in err + out, said
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == (status != 0), said
    assert not list(tmp_path.rglob("*partial*")), said
    for path in tmp_path.rglob("run/*.json"):
        json.loads(path.read_text())
    if status == 2:
        assert not (tmp_path / "run/checkpoints").exists(), said
