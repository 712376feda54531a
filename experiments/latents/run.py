"""Writes what a run's latent space is good for: pictures, numbers and one page."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments import interrupt, page, workdir
from experiments.evaluate import restore_run
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
from experiments.latents.section import Section
from experiments.latents.subject import Subject, make_subject
from experiments.terminal import say
from vae.build import Config
from vae.training.loop import Interrupted


def run(folder: Path, *, config: Config | None = None, data: str | None = None) -> None:
    """Writes `latents.html`, which needs no other file, and its pictures and numbers,
    `latents/*.png` and `latents/results.json`.

    Args:
      folder: of a run that is done.
      config: None for the run's own; if given, it may differ in `evaluate.*` only.
      data: where the run's data are, if they have moved; as for `dataset.name`.

    Raises:
      UserError: it is not, its codes are not in the reals, or another process works
        there.
      Interrupted: the process was asked to stop.
    """
    experiment, _, state = restore_run(folder, config=config, data=data)
    say("encoding the training and test images")
    subject = make_subject(experiment, state)
    with workdir.locked(folder):
        _write(subject, folder)


def _write(subject: Subject, folder: Path) -> None:
    say("finding the attributes that edits are made of")
    attributes = find_attributes(subject)
    evaluated = workdir.read_json(folder / "results.json") or {}
    place = folder / "latents"
    place.mkdir(exist_ok=True)
    say("generating images")
    generated = generation.generate(subject)

    def make() -> Iterator[Callable[[], Section]]:
        yield lambda: generation.show_samples(subject, generated, place)
        yield lambda: generation.compare_with_data(subject, attributes, generated)
        yield lambda: generation.show_neighbours(subject, generated, place)
        yield lambda: curves.show_interpolations(subject, place)
        yield lambda: curves.show_traversals(subject, evaluated, place)
        yield lambda: plane.show_plane(subject, attributes, place)
        yield lambda: usage.show_usage(evaluated, place)
        yield lambda: editing.show_edits(subject, attributes, place)
        yield lambda: transfer.show_style_transfer(subject, attributes, place)
        yield lambda: swapping.show_swaps(subject, attributes, place)

    sections = []
    for section in make():
        if interrupt.requested():
            raise Interrupted("stopped between two parts of the page")
        sections.append(section())
        say(f"{sections[-1].title}: done")
    results = {name: value for part in sections for name, value in part.results.items()}
    workdir.write_json(place / "results.json", results)
    text = page.render(
        "latents.html.jinja",
        name=folder.name,
        about=_describe(subject.experiment.config, evaluated),
        sections=sections,
    )
    workdir.write_text(folder / "latents.html", text)
    say(f"written to {folder}/latents.html")


def _describe(config: dict[str, Any], evaluated: Mapping[str, Any]) -> str:
    """Says which run it is."""
    text = (
        f"{config['dataset']['name']}; {config['model']['latent_dim']} latent "
        f"dimensions; objective {config['objective']['name']}, beta = "
        f"{config['objective']['beta']:g}; {config['train']['steps']:,} steps"
    )
    elbo = evaluated.get("test/elbo_nats")
    return text if elbo is None else f"{text}; ELBO of test images {elbo:.2f} nats"
