"""Evaluates a trained run: results, files and pictures."""

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import drawing, interrupt, workdir
from experiments.failures import EvaluationError, is_no_memory
from experiments.runs import keep_examples, open_run
from experiments.terminal import ProgressReport, print_results
from experiments.tracking import send_results
from experiments.trained import make_trained
from experiments.workdir import read_results, write_json, write_text
from vae.build import Config, Experiment
from vae.evaluation.base import Trained
from vae.evaluation.registry import EVALUATIONS
from vae.training.loop import Interrupted
from vae.types import Unsupported, UserError

NOT_COMPUTED = "could not be computed"  # what the error of failed evaluations says
FAILED = "failed"  # in `results.json`: what failed, and why


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
        trained = make_trained(experiment, program, state)
        evaluate_and_report(experiment, trained, folder, cost, anew=True)
    if jax.process_index() == 0:
        print_results(read_results(folder), str(folder))


def evaluate_and_report(
    experiment: Experiment,
    trained: Trained,
    folder: Path,
    cost: dict[str, float],
    *,
    quiet: bool = False,
    anew: bool = False,
    stop: Callable[[], bool] = interrupt.requested,
) -> None:
    """Does the evaluations that are asked for and not yet in `results.json`, or all
    that are asked for if the bounds are missing or `anew`; writes after each; draws.

    Bounds of another number of samples are kept, if they are of the same number of
    steps. An evaluation that fails does not stop the others, unless it is the bounds.

    Raises:
      UserError: some failed; the others are done and written.
      EvaluationError: the same, not by an error of the user's.
      Interrupted: `stop` said so.
    """
    is_main = jax.process_index() == 0
    before = read_results(folder) if is_main else {}
    if before.get("train/steps") != experiment.plan.steps:
        before = {}
    asked = experiment.config["evaluate"]
    names = _missing(before, asked)
    # Only the first host knows what is missing.
    if anew or "bounds" in names or jax.process_count() > 1:
        names = [n for n, e in EVALUATIONS.items() if e.is_on(asked.get(n, {}))]
    stale = (FAILED, *(prefix for n in names for prefix in EVALUATIONS[n].replaces))
    results = {k: v for k, v in before.items() if not k.startswith(stale)}
    results |= _about_training(experiment, cost)
    failures: dict[str, Exception] = {}
    for name in names:
        if is_main or EVALUATIONS[name].on_all_hosts:
            with _noting_failure(name, folder, failures):
                given = trained._replace(results=results)
                fields = asked.get(name, {})
                found = _evaluate(name, given, fields, folder, quiet=quiet, stop=stop)
                results |= found
                if found and is_main:
                    write_json(folder / "results.json", results)
    if not is_main:
        return
    with _noting_failure("pictures", folder, failures):
        given = trained._replace(results=results).on_one_device()
        drawing.draw(given, folder / "images")
    reasons = {name: _describe(error) for name, error in failures.items()}
    if reasons:
        results[FAILED] = reasons
    write_json(folder / "results.json", results)
    send_results(folder, experiment.config, results)
    if failures:
        said = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
        are_users = all(isinstance(e, UserError) for e in failures.values())
        raise (UserError if are_users else EvaluationError)(
            f"{NOT_COMPUTED}: {said}; all other results are in {folder}/results.json"
        )


def _evaluate(
    name: str,
    trained: Trained,
    fields: dict[str, Any],
    folder: Path,
    *,
    quiet: bool,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Returns the results of one evaluation, and writes the files of its arrays."""
    evaluation = EVALUATIONS[name]
    if evaluation.applies(trained.subject, **fields):
        return {}
    images = evaluation.images(trained.subject, **fields)
    what, quiet = f"evaluate {name}", quiet or not images
    with ProgressReport(what, 0, images, "images", quiet=quiet) as progress:

        def on_batch(count: int) -> None:
            progress.advance(count)
            if stop():
                raise Interrupted("stopped during evaluation; the training is saved")

        trained = trained._replace(on_batch=on_batch)
        if not evaluation.on_all_hosts:
            trained = trained.on_one_device()
        found = evaluation.run(trained, **fields)
    arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray)}
    if arrays:
        (folder / "images").mkdir(exist_ok=True)
        drawing.SAVE[name](trained.on_one_device(), arrays, folder)
    return {k: v for k, v in found.items() if k not in arrays}


@contextlib.contextmanager
def _noting_failure(
    name: str, folder: Path, failures: dict[str, Exception]
) -> Iterator[None]:
    """Notes an error under `name`, and writes its traceback unless it says what is
    wrong.

    Errors of the bounds end the launch, as the others need them; on several hosts all
    do, as the other hosts may wait for this one.
    """
    trace = folder / f"failed_{name}.txt"
    try:
        yield
        trace.unlink(missing_ok=True)
    except (Interrupted, OSError):
        raise
    except Exception as error:
        if jax.process_count() > 1 or is_no_memory(error) or name == "bounds":
            raise
        failures[name] = error
        if not isinstance(error, UserError | Unsupported):
            write_text(trace, traceback.format_exc())
            error.add_note(f"see {trace}")


def _describe(error: Exception) -> str:
    """Returns one line on an error that was noted."""
    said = " ".join(str(error).split())
    if isinstance(error, UserError | Unsupported):
        return said
    return f"{type(error).__name__}: {said[:200]}; {' '.join(error.__notes__)}"


def is_done(config: dict[str, Any], folder: Path) -> bool:
    """Whether `results.json` holds what this configuration asks for."""
    results = read_results(folder)
    is_of_all_steps = results.get("train/steps") == config["train"]["steps"]
    is_whole = FAILED not in results
    return is_whole and is_of_all_steps and not _missing(results, config["evaluate"])


def _missing(results: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Returns the evaluations that are asked for and not among the results."""
    samples = asked["bounds"]["importance_samples"]
    missing = []
    for name, evaluation in EVALUATIONS.items():
        fields = asked.get(name, {})
        if not evaluation.is_on(fields):
            continue
        is_held = all(
            value in (None, results[key]) if key in results else key in evaluation.newer
            for key, value in evaluation.shows(samples, **fields).items()
        )
        if not is_held or name in results.get(FAILED, {}):
            missing.append(name)
    return missing


def _about_training(experiment: Experiment, cost: dict[str, float]) -> dict[str, Any]:
    beta = float(experiment.config["objective"]["beta"])
    pixels = int(np.prod(experiment.dataset.event_shape))
    return {
        "objective/beta": beta,
        # Higgins et al. 2017, beta-VAE
        "objective/beta_normalised": beta * sum(experiment.group_dims) / pixels,
        "train/steps": experiment.plan.steps,
        "train/seconds": cost["train"],
        "train/steps_per_second": experiment.plan.steps / cost["train"],
        "train/data_wait_share": cost["data_wait"] / cost["train"],
        "train/checkpoint_share": cost["checkpoint"] / cost["train"],
        "train/peak_memory_mib": cost["peak_memory_mib"],
    }
