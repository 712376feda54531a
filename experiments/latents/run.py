"""Writes what a run's latent space is good for: pictures, numbers and one page."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from experiments import interrupt, page, workdir
from experiments.latents import (
    curves,
    editing,
    generation,
    plane,
    swapping,
    transfer,
    usage,
)
from experiments.latents.attributes import find_attributes
from experiments.latents.section import Section, left_out
from experiments.latents.subject import Subject, make_subject
from experiments.runs import open_run
from experiments.terminal import say
from vae.build import Config
from vae.training.loop import Interrupted

T = TypeVar("T")


def run(folder: Path, *, config: Config | None = None, data: str | None = None) -> None:
    """Writes `latents.html`, which needs no other file, and its pictures and numbers,
    `latents/*.png` and `latents/results.json`.

    Args:
      folder: of a run that is done.
      config: None for the run's own; if given, it may differ in `evaluate.*` only.
      data: where the run's data are, if they have moved; as for `dataset.name`.

    A part that cannot be computed says so on the page, and harms no other.

    Raises:
      UserError: it is not, its codes are not in the reals, or another process works
        there.
      Interrupted: the process was asked to stop.
    """
    experiment, _, state, _ = open_run(folder, config=config, data=data)
    say("encoding the training and test images")
    subject = make_subject(experiment, state)
    with workdir.locked(folder):
        _write(subject, folder)


def _write(subject: Subject, folder: Path) -> None:
    evaluated = workdir.read_results(folder)
    place = folder / "latents"
    place.mkdir(exist_ok=True)
    sections: dict[str, Section] = {}
    failures: dict[str, str] = {}
    for title, make in _parts(subject, evaluated, place).items():
        if interrupt.requested():
            raise Interrupted("stopped between two parts of the page")
        try:
            sections[title] = make()
            say(f"{title}: done")
        except Interrupted:
            raise
        except Exception as error:  # whatever it is, the other parts are of use
            failures[title] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            sections[title] = left_out(f"could not be computed ({failures[title]}).")
    results = {k: v for part in sections.values() for k, v in part.results.items()}
    workdir.write_json(place / "results.json", results)
    text = page.render(
        "latents.html.jinja",
        name=folder.name,
        about=_describe(subject, evaluated),
        sections=sections,
        not_finite=page.not_finite(results),
    )
    workdir.write_text(folder / "latents.html", text)
    if failures:
        why = "; ".join(f"{title} ({reason})" for title, reason in failures.items())
        say(
            f"warning: {len(failures)} of {len(sections)} parts of the page could not "
            f"be computed: {why}"
        )
    say(f"written to {folder}/latents.html")


def _parts(
    subject: Subject, evaluated: Mapping[str, Any], place: Path
) -> dict[str, Callable[[], Section]]:
    """Returns the parts of the page by their titles, in order. What several of them
    need is computed once, by the first of them."""
    found = _once(lambda: find_attributes(subject))
    made = _once(lambda: generation.generate(subject))
    return {
        "Samples": lambda: generation.show_samples(subject, made(), place),
        "Coverage": lambda: generation.compare_with_data(subject, found(), made()),
        "Nearest training images": lambda: generation.show_neighbours(
            subject, made(), place
        ),
        "Interpolation": lambda: curves.show_interpolations(subject, place),
        "Traversals": lambda: curves.show_traversals(subject, evaluated, place),
        "The aggregate posterior in a plane": lambda: plane.show_plane(
            subject, found(), place
        ),
        "Use of the latent space": lambda: usage.show_usage(evaluated, place),
        "Editing by attribute vectors": lambda: editing.show_edits(
            subject, found(), place
        ),
        "Style transfer": lambda: transfer.show_style_transfer(subject, found(), place),
        "Content of one image, style of another": lambda: swapping.show_swaps(
            subject, found(), place
        ),
    }


def _once(make: Callable[[], T]) -> Callable[[], T]:
    """Returns a function that calls `make` the first time only, and then gives the same
    result, or raises the same error."""
    future: Future[T] = Future()

    def get() -> T:
        if not future.done():
            try:
                future.set_result(make())
            except Exception as error:  # raised by `result`
                future.set_exception(error)
        return future.result()

    return get


def _describe(subject: Subject, evaluated: Mapping[str, Any]) -> str:
    """Says which run it is, and how its images are shown."""
    config = subject.experiment.config
    text = (
        f"{config['dataset']['name']}; {config['model']['latent_dim']} latent "
        f"dimensions; objective {config['objective']['name']}, beta = "
        f"{config['objective']['beta']:g}; {config['train']['steps']:,} steps"
    )
    if (elbo := evaluated.get("test/elbo_nats")) is not None:
        text += f"; ELBO of test images {elbo:.2f} nats"
    shown = subject.display.describe(subject.test.pixels.shape[-1])
    return f"{text}. {shown}".rstrip(". ")
