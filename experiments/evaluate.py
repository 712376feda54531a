"""Evaluates a trained run: results, pictures and a table."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import interrupt, workdir
from experiments.codes import CODES_FILE
from experiments.failures import EvaluationError
from experiments.parts import (
    FAILED,
    PARTS,
    Report,
    describe_failure,
    fitted_name,
    noting_failure,
)
from experiments.program import Program, answer
from experiments.runs import keep_examples, open_run
from experiments.terminal import ProgressReport, print_results
from experiments.truth import holds_truth
from experiments.workdir import read_json
from vae.build import Config, Experiment
from vae.data.splits import Split
from vae.evaluation.evaluate import evaluate
from vae.training.loop import Interrupted
from vae.training.state import TrainState
from vae.types import Request, UserError


def run(config: Config | None, folder: Path, *, data: str | None = None) -> None:
    """Evaluates the run in `folder` again, from its last checkpoint.

    Args:
      config: None for the run's own configuration; if given, it may differ from that
        in `evaluate.*` only.
      folder: the workdir of a run that was trained to its end.
      data: where its data are now, as for `dataset.name`; None for where they were.
    """
    experiment, program, state, cost = open_run(
        folder, config=config, data=data, needs_all_data=True
    )
    with workdir.locked(folder):
        workdir.describe(folder, experiment.config, program.data_hash)
        if jax.process_index() == 0:
            keep_examples(folder, experiment, program.data_hash)
        answer(evaluate_and_report(experiment, program, state, folder, cost))
    if jax.process_index() == 0:
        print_results(read_json(folder / "results.json"), str(folder))


def evaluate_split(
    experiment: Experiment,
    program: Program,
    state: TrainState,
    split: Split,
    *,
    name: str,
    num_samples: int,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Generator[Request, Any, dict[str, Any]]:
    """Returns the results of a split; see `vae.evaluation.evaluate.evaluate`."""
    return evaluate(
        program.evaluate(name, num_samples),
        (state.variables, state.seed),
        split,
        name=name,
        num_samples=num_samples,
        batch_size=experiment.evaluation_batch_size,
        by_example=experiment.placement.by_example,
        code_dim=experiment.code_dim,
        is_discrete=experiment.model.likelihood.is_discrete,
        on_batch=on_batch,
    )


def evaluate_and_report(
    experiment: Experiment,
    program: Program,
    state: TrainState,
    folder: Path,
    cost: dict[str, float],
    *,
    quiet: bool = False,
) -> Generator[Request, Any, None]:
    """Evaluates a trained state, draws, and writes `results.json` after each part.

    Results that are there already, with another number of samples, are kept if they are
    of the same number of steps. A part that fails takes none of the others down.

    Raises:
      UserError: parts failed; the others are done and written.
      EvaluationError: the same, by no error of the user's.
    """
    report = Report(experiment, program, state, folder, quiet=quiet)
    bounds = yield from measure_bounds(report)
    before = {}
    if jax.process_index() == 0:
        before = read_json(folder / "results.json") or {}
        if before.get("train/steps") != experiment.plan.steps:
            before = {}
    report.add(before | bounds | _about_training(experiment, cost))
    failures: dict[str, Exception] = {}
    for name, part in PARTS.items():
        with noting_failure(name, folder, failures):
            yield from part(report)
    report.add({}, instead_of=FAILED)
    if failures:
        reasons = {name: describe_failure(error) for name, error in failures.items()}
        report.add({FAILED: reasons})
        said = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
        are_users = all(isinstance(error, UserError) for error in failures.values())
        raise (UserError if are_users else EvaluationError)(
            f"could not be computed: {said}; all other results are in "
            f"{folder}/results.json"
        )


def measure_bounds(report: Report) -> Generator[Request, Any, dict[str, Any]]:
    """Returns the results of the test split, and the ELBO of the validation split."""
    experiment, program, state = report.experiment, report.program, report.state
    test, validation = experiment.dataset.test, experiment.dataset.validation
    progress = ProgressReport("evaluate", 0, test.size, "images", quiet=report.quiet)
    with progress:

        def on_batch(images: int) -> None:
            progress.advance(images)
            if interrupt.requested():
                raise Interrupted("stopped during evaluation; the training is saved")

        results = yield from evaluate_split(
            experiment,
            program,
            state,
            test,
            name="test",
            num_samples=experiment.importance_samples,
            on_batch=on_batch,
        )
    if validation.size:
        found = yield from evaluate_split(
            experiment, program, state, validation, name="validation", num_samples=1
        )
        results["validation/elbo_nats"] = found["validation/elbo_nats"]
    return results


def is_done(config: dict[str, Any], folder: Path) -> bool:
    """Whether `results.json` holds what this configuration asks for."""
    results = read_json(folder / "results.json") or {}
    if FAILED in results or results.get("train/steps") != config["train"]["steps"]:
        return False
    wanted = [f"test/nll_is{config['evaluate']['importance_samples']}_nats"]
    if components := config["evaluate"]["fitted_components"]:
        wanted.append(fitted_name(components))
    if anomalies := config["evaluate"]["anomalies"]:
        if results.get("anomalies") != anomalies:
            return False
        wanted += ["anomaly/regret_auroc"] * (config["evaluate"]["regret_images"] > 0)
    if points := config["evaluate"]["factor_points"]:
        scored = results.get("disentanglement/points") == points
        if not (scored and (folder / CODES_FILE).exists()):
            return False
    if not holds_truth(results, config["evaluate"]):
        return False
    return all(name in results for name in wanted)


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
