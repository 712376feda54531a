"""Evaluates a trained run: results, pictures and a table."""

import resource
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments import figures, workdir
from experiments.program import initial_carry
from experiments.terminal import ProgressReport, print_results
from experiments.workdir import read_json, write_json
from vae.build import Experiment, build, from_operative
from vae.data.splits import content_hash
from vae.training.checkpoint import Checkpointer
from vae.types import Params, UserError


def run(config: ConfigDict | None, folder: Path) -> None:
    """Evaluates the run in `folder` again, from its last checkpoint.

    Args:
      config: None for the run's own configuration; if given, it may differ from that
        in `evaluate.*` only.
      folder: the workdir of a run that was trained to its end.
    """
    held = read_json(folder / "config.json")
    if held is None:
        raise UserError(f"--workdir={folder} holds no run (no config.json)")
    experiment = build(config if config is not None else from_operative(held))
    data_hash = content_hash(experiment.dataset)
    workdir.check(folder, experiment.config, data_hash)
    checkpointer = Checkpointer(folder)
    restored = checkpointer.restore(initial_carry(experiment))
    checkpointer.close()
    if restored is None or restored.step < experiment.plan.steps:
        at = "no checkpoint" if restored is None else f"step {restored.step}"
        raise UserError(
            f"--workdir={folder} is not trained to its end ({at} of "
            f"{experiment.plan.steps} steps); launch its training again to continue"
        )
    workdir.open_for_writing(folder, experiment.config, data_hash)
    state, _ = restored.tree
    evaluate_and_report(
        experiment, state.params["model"], folder, restored.info["seconds"]
    )


def evaluate_and_report(
    experiment: Experiment,
    params: Params,
    folder: Path,
    seconds: dict[str, float],
) -> None:
    """Evaluates on the test split, draws, and writes `results.json` last of all."""
    test = experiment.dataset.test
    with ProgressReport("evaluate", 0, test.size, "images") as progress:
        evaluate = experiment.make_evaluator(
            name="test",
            num_samples=experiment.importance_samples,
            on_batch=progress.advance,
        )
        results = evaluate(params, test)
    if jax.process_index() != 0:
        return
    params = jax.device_get(params)
    figures.draw_samples(experiment, params, folder / "images")
    figures.draw_reconstructions(experiment, params, folder / "images")
    results |= _about_training(experiment, seconds)
    write_json(folder / "results.json", results)
    print_results(results, str(folder))


def _about_training(
    experiment: Experiment, seconds: dict[str, float]
) -> dict[str, Any]:
    beta = float(experiment.hparams["beta"])
    latent_dim = experiment.config["model"]["latent_dim"]
    pixels = int(np.prod(experiment.dataset.image_shape))
    return {
        "objective/beta": beta,
        "objective/beta_normalised": beta * latent_dim / pixels,  # Higgins et al. 2017
        "train/steps": experiment.plan.steps,
        "train/seconds": seconds["train"],
        "train/steps_per_second": experiment.plan.steps / seconds["train"],
        "train/data_wait_share": seconds["data_wait"] / seconds["train"],
        "train/checkpoint_share": seconds["checkpoint"] / seconds["train"],
        "process/peak_memory_mib": _peak_memory_mib(),
    }


def _peak_memory_mib() -> float:
    """Returns the most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
