"""The parts of an evaluation that follow the bounds, each of which may fail alone."""

import functools
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import figures
from experiments.anomaly import measure_detection
from experiments.codes import SCORES, posterior_means, save_codes, score_factors
from experiments.failures import is_no_memory
from experiments.program import Program, own_model
from experiments.truth import measure_truth
from experiments.usage import report_usage
from experiments.workdir import write_json, write_text
from vae import rng
from vae.build import Experiment
from vae.compatibility import encodes_to_means
from vae.data.splits import Split, evenly_spaced
from vae.latents.aggregate import (
    FITTED_CODES,
    fit_gaussian_mixture,
    sample_codes,
)
from vae.training.loop import Interrupted
from vae.training.state import TrainState
from vae.types import Request, UserError

TRAVERSED = 4  # test images whose codes are traversed
FAILED = "failed"  # in `results.json`: the parts that failed, and why


class Report:
    """The results of a run so far, and what they are computed from."""

    def __init__(
        self,
        experiment: Experiment,
        program: Program,
        state: TrainState,
        folder: Path,
        *,
        quiet: bool,
    ):
        self.experiment, self.program, self.state = experiment, program, state
        self.folder, self.quiet = folder, quiet
        self.results: dict[str, Any] = {}

    def add(self, results: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        """Joins results and writes `results.json`, on the first host; drops old ones
        whose names begin with `instead_of`."""
        if instead_of is not None:
            kept = self.results.items()
            self.results = {n: v for n, v in kept if not n.startswith(instead_of)}
        self.results |= results
        if jax.process_index() == 0:
            write_json(self.folder / "results.json", self.results)


Part = Generator[Request, Any, None]


@contextmanager
def noting_failure(
    name: str, folder: Path, failures: dict[str, Exception]
) -> Iterator[None]:
    """A context whose error, unless it ends the launch, is noted under `name`. If it is
    no error of the user's, its traceback is written to the folder.

    On several hosts every error ends the launch, as the others may wait for this one.
    """
    trace = folder / f"failed_{name.replace(' ', '_')}.txt"
    try:
        yield
        trace.unlink(missing_ok=True)
    except (Interrupted, OSError):
        raise
    except Exception as error:
        if jax.process_count() > 1 or is_no_memory(error):
            raise
        failures[name] = error
        if not isinstance(error, UserError):
            write_text(trace, traceback.format_exc())
            error.add_note(f"see {trace}")


def describe_failure(error: Exception) -> str:
    """Returns one line on an error that `noting_failure` noted."""
    said = " ".join(str(error).split())
    if isinstance(error, UserError):
        return said
    return f"{type(error).__name__}: {said[:200]}; {' '.join(error.__notes__)}"


def _report_anomalies(report: Report) -> Part:
    if report.experiment.anomalies is None:
        return
    found = yield from measure_detection(
        report.experiment, report.program, report.state, report.folder
    )
    report.add(found)


def _on_first_host(write: Callable[[Report], None]) -> Callable[[Report], Part]:
    """Makes a part of what computes for itself, with the state in the memory of the
    first host."""

    def part(report: Report) -> Part:
        if jax.process_index() == 0:
            report.state = jax.device_get(report.state)
            write(report)
        yield from ()

    return part


def _draw(report: Report) -> None:
    experiment, program = report.experiment, report.program
    variables, images = report.state.variables, report.folder / "images"
    images.mkdir(exist_ok=True)
    figures.draw_samples(experiment, program, variables, images)
    figures.draw_reconstructions(experiment, program, variables, images)
    if experiment.factors is not None and _is_traversable(experiment.config["model"]):
        decode = functools.partial(program.views.decode, variables)
        shown = posterior_means(experiment, program, report.state, TRAVERSED)
        kl = report.results["latent/kl_per_dim"]
        display = figures.display_of(experiment.dataset)
        figures.draw_traversals(decode, *shown, kl, display, images)


def _report_usage(report: Report) -> None:
    report.add(
        report_usage(report.experiment, report.program, report.state, report.results)
    )


def _report_density(report: Report) -> None:
    if report.experiment.fitted_components:
        report.add(_fit_density(report.experiment, report.state, report.folder))


def _report_factors(report: Report) -> None:
    if report.experiment.factor_points:
        given = report.experiment, report.program, report.state
        save_codes(*given, report.folder)
        report.add(score_factors(*given), instead_of=SCORES)


def _report_truth(report: Report) -> None:
    if report.experiment.annealed_images:
        found = measure_truth(
            report.experiment, report.program, report.state, quiet=report.quiet
        )
        report.add(found, instead_of="truth/")  # its numbers are of the same images


PARTS: dict[str, Callable[[Report], Part]] = {
    "anomalies": _report_anomalies,  # the one that all hosts compute
    "pictures": _on_first_host(_draw),
    "use of the latent space": _on_first_host(_report_usage),
    "fitted density": _on_first_host(_report_density),
    "disentanglement": _on_first_host(_report_factors),
    "annealed bounds": _on_first_host(_report_truth),
}


def _fit_density(
    experiment: Experiment, state: TrainState, folder: Path
) -> dict[str, float]:
    """Fits a density to the training codes, draws samples of it, and returns its
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
    display = figures.display_of(experiment.dataset)
    figures.save_grid(folder / "images" / "samples_fitted.png", images, display)
    codes = codes_of(experiment.dataset.test, "test")
    return {
        fitted_name(experiment.fitted_components): float(
            -density.log_prob(codes).mean()
        )
    }


def _is_traversable(model: dict[str, Any]) -> bool:
    """Says if a quantile of the standard normal is one of each dimension."""
    return model["prior"]["name"] == "standard_normal" and encodes_to_means(
        model["posterior"]["name"], model["condition"]
    )


def fitted_name(components: int) -> str:
    return f"latent/fitted{components}_nll_nats"
