"""Evaluates a trained run: results, pictures and a table."""

import functools
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import figures, interrupt, workdir
from experiments.anomaly import measure_detection
from experiments.codes import (
    CODES_FILE,
    SCORES,
    posterior_means,
    save_codes,
    score_factors,
)
from experiments.program import Program, answer, make_program, own_model
from experiments.terminal import ProgressReport, print_results
from experiments.truth import holds_truth, with_truth
from experiments.usage import report_usage
from experiments.workdir import read_json, write_json
from vae import rng
from vae.build import Config, Experiment, build
from vae.compatibility import encodes_to_means
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.evaluate import evaluate
from vae.latents.aggregate import (
    FITTED_CODES,
    fit_gaussian_mixture,
    sample_codes,
)
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Interrupted
from vae.training.state import TrainState
from vae.types import Request, UserError

TRAVERSED = 4  # test images whose codes are traversed


def run(config: Config | None, folder: Path, *, data: str | None = None) -> None:
    """Evaluates the run in `folder` again, from its last checkpoint.

    Args:
      config: None for the run's own configuration; if given, it may differ from that
        in `evaluate.*` only.
      folder: the workdir of a run that was trained to its end.
      data: where the run's data are, if they have moved; as for `dataset.name`.
    """
    experiment, program = _of_run(config, folder, data)
    with workdir.locked(folder):
        cost, state = _restore_trained(experiment, program, folder)
        workdir.describe(folder, experiment.config, program.data_hash)
        answer(evaluate_and_report(experiment, program, state, folder, cost))
    if jax.process_index() == 0:
        print_results(read_json(folder / "results.json"), str(folder))


def restore_run(
    folder: Path, *, config: Config | None = None, data: str | None = None
) -> tuple[Experiment, Program, TrainState]:
    """Returns the run in `folder`, which was trained to its end, and its last state.

    Raises:
      UserError: there is none, or it was not.
    """
    experiment, program = _of_run(config, folder, data)
    _, state = _restore_trained(experiment, program, folder)
    return experiment, program, state


def _of_run(
    config: Config | None, folder: Path, data: str | None
) -> tuple[Experiment, Program]:
    """Returns the experiment of the run in `folder`, by its own configuration or by
    another that is the same but for `evaluate.*`."""
    held = workdir.config_of(folder)
    experiment = build(workdir.with_data(held if config is None else config, data))
    program = make_program(experiment)
    workdir.check(folder, experiment.config, program.data_hash)
    return experiment, program


def _restore_trained(
    experiment: Experiment, program: Program, folder: Path
) -> tuple[dict[str, float], TrainState]:
    """Returns what training cost and the state at its end."""
    with closing(Checkpointer(folder)) as checkpointer:
        restored = checkpointer.restore(program.initialize(experiment))
    if restored is None or restored.step < experiment.plan.steps:
        at = "no checkpoint" if restored is None else f"step {restored.step}"
        raise UserError(
            f"--workdir={folder} is not trained to its end ({at} of "
            f"{experiment.plan.steps} steps); launch its training again to continue"
        )
    state, _ = restored.tree
    return restored.info["cost"], state


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
    """Evaluates on the test split, draws, and writes `results.json`, which scores of
    factors and annealed bounds join last.

    Results that are there already, with another number of samples, are kept.
    """
    test = experiment.dataset.test
    progress = ProgressReport("evaluate", 0, test.size, "images", quiet=quiet)
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
    if experiment.dataset.validation.size:
        found = yield from evaluate_split(
            experiment,
            program,
            state,
            experiment.dataset.validation,
            name="validation",
            num_samples=1,
        )
        results["validation/elbo_nats"] = found["validation/elbo_nats"]
    if experiment.anomalies is not None:
        found = yield from measure_detection(experiment, program, state, folder)
        results |= found
    if jax.process_index() != 0:
        return
    (folder / "images").mkdir(exist_ok=True)
    state = jax.device_get(state)
    figures.draw_samples(experiment, program, state.variables, folder / "images")
    figures.draw_reconstructions(
        experiment, program, state.variables, folder / "images"
    )
    if experiment.factors is not None and _is_traversable(experiment.config["model"]):
        decode = functools.partial(program.views.decode, state.variables)
        shown = posterior_means(experiment, program, state, TRAVERSED)
        kl = results["latent/kl_per_dim"]
        figures.draw_traversals(decode, *shown, kl, folder / "images")
    results |= report_usage(experiment, program, state, results)
    if experiment.fitted_components:
        results |= _fit_density(experiment, state, folder)
    before = read_json(folder / "results.json") or {}
    results = before | results | _about_training(experiment, cost)
    write_json(folder / "results.json", results)
    if experiment.factor_points:  # takes minutes, in which the rest should not be lost
        save_codes(experiment, program, state, folder)
        # A score that has become infinite is not told, and its old value is gone.
        results = {n: v for n, v in results.items() if not n.startswith(SCORES)}
        results |= score_factors(experiment, program, state)
        write_json(folder / "results.json", results)
    if experiment.annealed_images:  # so does this
        results = with_truth(results, experiment, program, state, quiet=quiet)
        write_json(folder / "results.json", results)


def _fit_density(
    experiment: Experiment, state: TrainState, folder: Path
) -> dict[str, float]:
    """Fits a density to the training codes, draws samples of it, and tells its
    cross-entropy with the test codes, in nats."""
    seed = experiment.seed
    model, variables = own_model(experiment, state)

    def codes_of(split: Split, name: str) -> np.ndarray:
        key = rng.stream(seed, f"{name}_codes")
        return sample_codes(model, variables, experiment.preprocess, split, key)

    train = experiment.dataset.train
    some = train[evenly_spaced(train.size, min(train.size, FITTED_CODES))]
    density = fit_gaussian_mixture(
        codes_of(some, "train"), experiment.fitted_components, seed
    )
    drawn = density.sample(
        rng.stream(seed, "samples"), (figures.COLUMNS * figures.ROWS,)
    )
    decoded = model.apply(
        variables, drawn, label=figures.labels(experiment), method="decode"
    )
    images = np.asarray(decoded.mean, np.float32)
    figures.save_grid(folder / "images" / "samples_fitted.png", images)
    codes = codes_of(experiment.dataset.test, "test")
    return {
        _fitted_name(experiment.fitted_components): float(
            -density.log_prob(codes).mean()
        )
    }


def _is_traversable(model: dict[str, Any]) -> bool:
    """Says if a quantile of the standard normal is one of each dimension."""
    return model["prior"]["name"] == "standard_normal" and encodes_to_means(
        model["posterior"]["name"], model["condition"]
    )


def is_done(config: dict[str, Any], folder: Path) -> bool:
    """Says whether `results.json` holds what this configuration asks for."""
    results = read_json(folder / "results.json") or {}
    wanted = [f"test/nll_is{config['evaluate']['importance_samples']}_nats"]
    if components := config["evaluate"]["fitted_components"]:
        wanted.append(_fitted_name(components))
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


def _fitted_name(components: int) -> str:
    return f"latent/fitted{components}_nll_nats"


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
