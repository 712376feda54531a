"""Flags: each experiment reads its own, and a wrong one is refused at once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from absl.testing import flagsaver

import launch as launcher
from experiments import evaluate, score, train, workdir
from experiments.flags import Chosen
from experiments.latents import run as latents
from experiments.launches import EXPERIMENTS, OfRun, Train
from tests.conftest import ROOT
from vae.build import operative

CONFIG = f"--config={ROOT}/configs/quickstart.py:smoke"
EXPERIMENT = "--experiment=anomaly"

# Refused before anything that takes long is imported.
REFUSED = {
    "unknown field": ([CONFIG, "--config.beta=3"], "did you mean objective.beta?"),
    "unknown field of a run": (["--workdir=w", "--config.sed=3"], "did you mean seed?"),
    "no run": (["--workdir=run", "--config.seed=3"], "run holds no run"),
    "no config to override": (["--config.seed=3"], "needs --config=FILE before it"),
    "whole number": (
        [CONFIG, "--config.train.steps=1e4"],
        "train.steps=1e4 must be a whole number, as in train.steps=10000",
    ),
    "boolean": (
        [CONFIG, "--config.dataset.skip_unreadable=yes"],
        "dataset.skip_unreadable=yes must be true or false",
    ),
    "boolean flag": ([CONFIG, "--print_only=maybe"], "print_only=maybe must be true"),
    "numbers": (
        [CONFIG, "--config.model.encoder.widths=a"],
        "widths=a must be whole numbers with commas between, as in",
    ),
    "names": (
        [CONFIG, "--config.dataset.column_kinds=a:count,b:ignore"],
        "column_kinds=a:count,b:ignore must be names in quotes, as in "
        "\"('age:count','id:ignore')\"",
    ),
    "names as numbers": (
        [CONFIG, "--config.dataset.column_kinds=(1,2)"],
        "column_kinds=1,2 must be names in quotes",
    ),
    "group": ([CONFIG, "--config.model.encoder=3"], "model.encoder is a group"),
    "unknown flag": ([CONFIG, "--confg.seed=1"], "did you mean --config.seed=1?"),
    "misspelt flag": ([CONFIG, "--wrokdir=run"], "did you mean --workdir=run?"),
    "bare field": (
        [CONFIG, "--model.latent_dim=3"],
        "not a flag: --model.latent_dim=3; did you mean --config.model.latent_dim=3?",
    ),
    "stray word": ([CONFIG, "seed=1"], "seed=1; did you mean --config.seed=1?"),
    "no value": (
        [CONFIG, "--config.model.latent_dim", "--workdir=run"],
        "--config.model.latent_dim has no value",
    ),
    "no value of a flag": ([CONFIG, "--workdir", "--experiment=sweep"], "no value"),
    "no value at the end": ([CONFIG, "--config.seed"], "--config.seed has no value"),
    "no such config": (["--config=absent.py"], "--config=absent.py: no such file"),
    "folder": ([f"--config={ROOT}"], "is a folder"),
    "unknown mode": ([CONFIG.replace("smoke", "smok")], "choose from smoke"),
    "tracker": (
        ["--experiment=latents", "--workdir=w", "--tracker=wandb"],
        "--tracker is for --experiment=train, evaluate, sweep, reproduce",
    ),
    "no config": ([], "--config is missing"),
    "config of another": (["--experiment=sweep", "--workdir=w"], "--config is missing"),
    "experiment": ([CONFIG, "--experiment=trian"], "did you mean train?"),
    "sweep of a train": (
        [CONFIG, "--sweep=seed=1"],
        "--sweep is for --experiment=sweep; --experiment=train does not read it",
    ),
    "no images": ([EXPERIMENT, "--workdir=w"], "needs --score=NAME of the images"),
    "no folder": ([EXPERIMENT, "--score=x"], "needs --workdir=FOLDER of a run"),
    "a sweep": (
        ["--experiment=evaluate", "--workdir=sweep"],
        "name a member, as in --workdir=sweep/members/a",
    ),
    "empty workdir": ([CONFIG, "--workdir="], "--workdir= is empty"),
    "a file": ([CONFIG, "--workdir=sweep/a"], "--workdir=sweep/a is a file"),
    "bytes": ([CONFIG, "--workdir=run\udcff"], "a path in UTF-8; choose another"),
}


@pytest.mark.filterwarnings("ignore:the load_module")  # by ml_collections
@pytest.mark.parametrize("case", REFUSED)
def test_command_lines_that_are_refused_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    arguments, message = REFUSED[case]
    (tmp_path / "sweep/members/a").mkdir(parents=True)
    for name in ("sweep/members/a/config.json", "sweep/a"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for stream in ("stdout", "stderr"):  # are put back, once they are wrapped
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    with flagsaver.flagsaver():
        assert launcher.main(["launch.py", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


def test_a_config_in_this_folder_goes_before_that_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    word = "--config=configs/quickstart.py:smoke"
    assert launcher._find_config(word) == CONFIG
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.py").touch()
    absent = "--config=configs/absent.py"
    for other in (word, absent, "--config.seed=1", "--workdir=configs/default.py"):
        assert launcher._find_config(other) == other


def test_nothing_that_takes_long_is_imported_first() -> None:
    refuses = "import sys, launch; launch.main(['launch.py', '--experiment=trian'])\n"
    shows = "print(sys.modules.keys() & {'jax', 'flax', 'optax', 'orbax', 'pandas'})"
    done = subprocess.run(
        [sys.executable, "-c", refuses + shows],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "set()\n"


OPTIONAL = [n for n, kind in EXPERIMENTS.items() if issubclass(kind, (Train, OfRun))]


@pytest.mark.parametrize("experiment", OPTIONAL)
def test_overrides_apply_to_the_config_of_the_run(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: str
) -> None:
    workdir.write_json(tmp_path / "config.json", operative(small_config))
    runs: list[tuple[Any, ...]] = []
    for module in (train, evaluate):
        monkeypatch.setattr(
            module, "run", lambda config, _, **k: runs.append((config, k))
        )
    for module in (latents, score):
        monkeypatch.setattr(
            module, "run", lambda *_, config, **k: runs.append((config, k))
        )
    overrides = {
        "evaluate.bounds.importance_samples": 7,
        "model.encoder.widths": (3, 4),
    }
    given: dict[str, Any] = {"workdir": tmp_path, "data": "npz:y"}
    given |= {"score": "npz:x"} if experiment == "anomaly" else {}
    launcher._make(
        experiment, {**given, "config": Chosen(overrides=overrides)}
    ).launch()
    ((config, keywords),) = runs
    small_config.update_from_flattened_dict(overrides)
    assert operative(config) == operative(small_config)
    assert keywords["data"] == "npz:y"


def test_a_home_is_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    with flagsaver.flagsaver():
        given = launcher._parse(["launch.py", "--workdir=~/run"])
    assert given == {"workdir": Path("/nowhere/run")}
