"""Writes what a run's latent space is good for: pictures, numbers and one page."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments import columns, interrupt, page, workdir
from experiments.latents import (
    curves,
    editing,
    explorer,
    generation,
    groups,
    plane,
    swapping,
    transfer,
    usage,
)
from experiments.latents.attributes import find_attributes
from experiments.latents.section import Section
from experiments.latents.subject import Subject, make_subject
from experiments.runs import open_run
from experiments.terminal import say
from vae.build import Config
from vae.training.loop import Interrupted

# The sections of vectors: the others show images.
OF_VECTORS = ("coverage", "groups", "plane", "usage")
# Those of codes too large to be fitted, embedded or looked at one by one.
OF_LARGE_CODES = ("samples", "coverage", "neighbours", "groups")


def run(folder: Path, *, config: Config | None = None, data: str | None = None) -> None:
    """Writes `latents.html` and, for images, `explorer.html`, which need no other file;
    and the former's pictures and numbers, `latents/*.png` and `latents/results.json`.

    A section that cannot be computed says so; the others are written all the same.

    Args:
      folder: of a run that is done.
      config: None for the run's own; if given, it may differ in `evaluate.*` only.
      data: where the run's data are, if they have moved; as for `dataset.name`.

    Raises:
      UserError: the run is not done, its codes are not in the reals, or another process
        works there.
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
    for name, make in _sections(subject, evaluated, place).items():
        if interrupt.requested():
            raise Interrupted("stopped between two sections of the page")
        try:
            sections[name] = make()
            say(f"{name}: done")
        except Interrupted:
            raise
        except Exception as error:  # whatever it is, the other sections are of use
            failures[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            reason = f"could not be computed ({failures[name]})."
            sections[name] = Section(left_out=reason)
    results = {k: v for part in sections.values() for k, v in part.results.items()}
    workdir.write_json(place / "results.json", results)
    text = page.render(
        "latents.html.jinja",
        name=folder.name,
        config=subject.experiment.config,
        dimensions=subject.dimensions,
        elbo=evaluated.get("test/elbo_nats"),
        display=_describe(subject),
        sections=sections,
        not_finite=page.not_finite(results),
    )
    workdir.write_text(folder / "latents.html", text)
    if failures:
        why = "; ".join(f"{name} ({reason})" for name, reason in failures.items())
        say(
            f"warning: {len(failures)} of {len(sections)} sections of the page could "
            f"not be computed: {why}"
        )
    is_explored = "explorer" in sections and "explorer" not in failures
    explored = " and explorer.html" if is_explored else ""
    say(f"written to {folder}/latents.html{explored}")


def _describe(subject: Subject) -> str:
    """Says what the page shows of the data, and what it does not."""
    if not subject.has_images:
        return "The data are vectors: there are no sections that show images."
    shown = subject.display.describe(subject.test.pixels.shape[-1])
    if subject.has_large_codes:
        size = sum(subject.experiment.group_dims)
        shown += f" A code has {size:,} dimensions: none is looked at by itself."
    return shown


def _sections(
    subject: Subject, evaluated: Mapping[str, Any], folder: Path
) -> dict[str, Callable[[], Section]]:
    """Returns the sections of the page, in order, by the names that the template has
    for them. The first that needs attributes or generated images computes them."""
    attributes = functools.cache(lambda: find_attributes(subject))
    images = functools.cache(lambda: generation.generate(subject))
    sections: dict[str, Callable[[], Section]] = {
        "explorer": lambda: explorer.write_explorer(
            subject, attributes(), evaluated, folder.parent
        ),
        "samples": lambda: generation.show_samples(subject, images(), folder),
        "coverage": lambda: generation.compare_with_data(
            subject, attributes(), images()
        ),
        "neighbours": lambda: generation.show_neighbours(subject, images(), folder),
        "interpolation": lambda: curves.show_interpolations(subject, folder),
        "traversals": lambda: curves.show_traversals(subject, evaluated, folder),
        "groups": lambda: groups.show_groups(subject, evaluated, folder),
        "plane": lambda: plane.show_plane(subject, attributes(), folder),
        "usage": lambda: usage.show_usage(evaluated, folder),
        "editing": lambda: editing.show_edits(subject, attributes(), folder),
        "transfer": lambda: transfer.show_style_transfer(subject, attributes(), folder),
        "swapping": lambda: swapping.show_swaps(subject, attributes(), folder),
    }
    if len(subject.experiment.group_dims) == 1:
        del sections["groups"]
    if subject.has_large_codes:
        sections = {k: make for k, make in sections.items() if k in OF_LARGE_CODES}
    if subject.has_images:
        return sections
    shown = {name: make for name, make in sections.items() if name in OF_VECTORS}
    return {"columns": lambda: columns.show_columns(folder.parent / "images")} | shown
