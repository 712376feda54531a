"""Evaluates a trained run: results, pictures and a table."""

from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import figures, interrupt, workdir
from experiments.program import initial_carry
from experiments.terminal import ProgressReport, print_results
from experiments.workdir import read_json, write_json
from vae import rng
from vae.build import Config, Experiment, build, from_operative
from vae.data.splits import Split, content_hash
from vae.latents.aggregate import (
    FITTED_CODES,
    fit_gaussian_mixture,
    sample_codes,
)
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Interrupted
from vae.types import Params, UserError


def run(config: Config | None, folder: Path) -> None:
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
    with workdir.locked(folder):
        cost, params = _restore_trained(experiment, folder)
        workdir.describe(folder, experiment.config, data_hash)
        evaluate_and_report(experiment, params, folder, cost)


def _restore_trained(
    experiment: Experiment, folder: Path
) -> tuple[dict[str, float], Params]:
    """Returns what training cost and the model's parameters at its end."""
    with closing(Checkpointer(folder)) as checkpointer:
        restored = checkpointer.restore(initial_carry(experiment))
    if restored is None or restored.step < experiment.plan.steps:
        at = "no checkpoint" if restored is None else f"step {restored.step}"
        raise UserError(
            f"--workdir={folder} is not trained to its end ({at} of "
            f"{experiment.plan.steps} steps); launch its training again to continue"
        )
    state, _ = restored.tree
    return restored.info["cost"], state.params["model"]


def evaluate_and_report(
    experiment: Experiment,
    params: Params,
    folder: Path,
    cost: dict[str, float],
) -> None:
    """Evaluates on the test split, draws, and writes `results.json` last of all.

    Results that are there already, with another number of samples, are kept.
    """
    test = experiment.dataset.test
    with ProgressReport("evaluate", 0, test.size, "images") as progress:

        def on_batch(images: int) -> None:
            progress.advance(images)
            if interrupt.requested():
                raise Interrupted("stopped during evaluation; the training is saved")

        evaluate = experiment.make_evaluator(
            name="test", num_samples=experiment.importance_samples, on_batch=on_batch
        )
        results = evaluate(params, test)
    if jax.process_index() != 0:
        return
    params = jax.device_get(params)
    figures.draw_samples(experiment, params, folder / "images")
    figures.draw_reconstructions(experiment, params, folder / "images")
    if experiment.fitted_components:
        results |= _fit_density(experiment, params, folder)
    before = read_json(folder / "results.json") or {}
    results = before | results | _about_training(experiment, cost)
    write_json(folder / "results.json", results)
    print_results(results, str(folder))


def _fit_density(
    experiment: Experiment, params: Params, folder: Path
) -> dict[str, float]:
    """Fits a density to the training codes, draws samples of it, and tells its
    cross-entropy with the test codes, in nats."""
    seed = experiment.seed

    def codes_of(split: Split, name: str) -> np.ndarray:
        key = rng.stream(seed, f"{name}_codes")
        return sample_codes(experiment.model, params, experiment.preprocess, split, key)

    train = experiment.dataset.train
    some = train[np.unique(np.linspace(0, train.size - 1, FITTED_CODES).astype(int))]
    density = fit_gaussian_mixture(
        codes_of(some, "train"), experiment.fitted_components, seed
    )
    figures.draw_decoded(
        experiment, params, density, folder / "images" / "samples_fitted.png"
    )
    codes = codes_of(experiment.dataset.test, "test")
    return {_fitted_name(experiment): float(-density.log_prob(codes).mean())}


def is_done(experiment: Experiment, folder: Path) -> bool:
    """Says whether `results.json` holds what this experiment asks for."""
    results = read_json(folder / "results.json") or {}
    wanted = [f"test/nll_is{experiment.importance_samples}_nats"]
    if experiment.fitted_components:
        wanted.append(_fitted_name(experiment))
    return all(name in results for name in wanted)


def _fitted_name(experiment: Experiment) -> str:
    return f"latent/fitted{experiment.fitted_components}_nll_nats"


def _about_training(experiment: Experiment, cost: dict[str, float]) -> dict[str, Any]:
    beta = float(experiment.hparams["beta"])
    latent_dim = experiment.config["model"]["latent_dim"]
    pixels = int(np.prod(experiment.dataset.image_shape))
    return {
        "objective/beta": beta,
        "objective/beta_normalised": beta * latent_dim / pixels,  # Higgins et al. 2017
        "train/steps": experiment.plan.steps,
        "train/seconds": cost["train"],
        "train/steps_per_second": experiment.plan.steps / cost["train"],
        "train/data_wait_share": cost["data_wait"] / cost["train"],
        "train/checkpoint_share": cost["checkpoint"] / cost["train"],
        "train/peak_memory_mib": cost["peak_memory_mib"],
    }
