"""The page of data that lack something: labels, classes, images, variance."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.figures import Display
from experiments.latents import curves, generation, plane, run, swapping
from experiments.latents.attributes import Attributes, find_attributes
from experiments.latents.section import Section
from experiments.latents.subject import Subject
from tests.experiments.latents.test_editing import COUNT, make
from vae.data.splits import Split
from vae.evaluation import probe

CODES = np.random.default_rng(0).normal(size=(COUNT, 3))
NOTHING = Attributes(None, None, {}, {}, {})


def subject_of(
    codes: np.ndarray, labels: Any = None, *, is_conditional: bool = False
) -> Subject:
    """A model whose images are its codes [N, D]."""
    subject, _ = make(codes, ("a",), labels=labels)
    examples = subject.test._replace(labels=labels)
    experiment: Any = SimpleNamespace(
        model=SimpleNamespace(num_labels=2 if is_conditional else None),
        config={"model": {"prior": {"name": "standard_normal"}}},
        data=SimpleNamespace(factors=None),
    )
    return subject._replace(experiment=experiment, train=examples, test=examples)


@pytest.mark.parametrize("is_conditional", [False, True])
def test_images_of_one_label_are_paired_as_if_they_had_none(is_conditional) -> None:
    one = subject_of(CODES, np.full(COUNT, 3), is_conditional=is_conditional)
    assert curves.choose_pairs(one) == curves.choose_pairs(subject_of(CODES))
    assert len(curves.choose_pairs(one)) == curves.PAIRS


@pytest.mark.parametrize(
    ("labels", "is_conditional"), [(np.arange(2), True), (np.arange(1), False)]
)
def test_without_a_pair_nothing_is_interpolated(
    labels: np.ndarray, is_conditional: bool, tmp_path: Path
) -> None:
    few = subject_of(CODES[: len(labels)], labels, is_conditional=is_conditional)
    assert "no two test images" in curves.show_interpolations(few, tmp_path).text


@pytest.mark.parametrize(("count", "is_measured"), [(5, False), (6, True)])
def test_coverage_needs_neighbours(count: int, is_measured: bool) -> None:
    few = subject_of(CODES[:count])
    section = generation.compare_with_data(few, NOTHING, {"prior": few.test.pixels})
    assert bool(section.results) == is_measured
    assert ("Left out" in section.text) != is_measured


def test_coverage_compares_training_images_of_every_kind() -> None:
    """Those of a user may be in order of their labels, and more than test images."""
    ordered = CODES + 50.0 * (np.arange(COUNT) >= COUNT // 2)[:, None]
    subject = subject_of(ordered)
    some = subject_of(ordered[::4]).test
    subject = subject._replace(test=some)
    section = generation.compare_with_data(subject, NOTHING, {"prior": some.pixels})
    assert section.results["coverage/pca-3/training_images/coverage"] > 0.9


@pytest.mark.parametrize(
    ("codes", "pictures"),
    [
        (CODES[:1], []),
        (np.ones((COUNT, 3)), []),
        (CODES[:2], ["embedding_pca.png"]),
        (CODES[:15], ["embedding_pca.png"]),
        (np.eye(COUNT, 2, dtype=float) * [1, 0], ["embedding_codes.png"]),
    ],
    ids=["one", "constant", "two", "few", "constant dimension"],
)
def test_a_plane_of_few_or_constant_codes(
    codes: np.ndarray, pictures: list[str], tmp_path: Path
) -> None:
    subject = subject_of(codes, is_conditional=True)
    section = plane.show_plane(subject, NOTHING, tmp_path)
    assert [picture.path.name for picture in section.pictures] == pictures
    assert ("Left out" in section.text) == (not pictures)
    assert "UMAP" not in section.text


def test_thumbnails_of_any_channels(tmp_path: Path) -> None:
    subject = subject_of(CODES[:9])
    for channels in (2, 3, 5):

        def decode(z: Any, labels: Any = None, channels: int = channels) -> np.ndarray:
            return np.repeat(np.asarray(z)[:, None, :, None], channels, axis=-1)

        section = plane.show_plane(subject._replace(decode=decode), NOTHING, tmp_path)
        assert section.pictures[0].path.exists()


def test_many_values_go_from_dark_to_light_and_some_are_named(tmp_path: Path) -> None:
    ten, many = (plane._colour(np.arange(count) * 7 - 30, count) for count in (10, 99))
    assert len(np.unique(ten, axis=0)) == 10
    assert (np.diff(many[:, :3].sum(axis=1)) > -0.1).all()
    subject = subject_of(CODES)
    values = {"label": np.arange(COUNT)}
    attributes = NOTHING._replace(train=values, test=values)
    section = plane.show_plane(subject, attributes, tmp_path)
    assert section.pictures[0].path.exists()


def test_a_part_that_fails_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    calls = []

    def fail() -> Any:
        calls.append(1)
        raise ValueError("two\nlines")

    shared = run._once(fail)
    parts = {
        "Bad": shared,
        "Good": lambda: Section("Well.", results={"a": float("nan")}),
        "Worse": shared,
    }
    monkeypatch.setattr(run, "_parts", lambda *_: parts)
    subject = subject_of(CODES)
    subject.experiment.config.update(
        dataset={"name": "npz:a"},
        objective={"name": "elbo", "beta": 1.0},
        train={"steps": 2},
    )
    subject.experiment.config["model"]["latent_dim"] = 3
    run._write(subject._replace(display=Display(-1, 1)), tmp_path)
    page = " ".join((tmp_path / "latents.html").read_text().split())
    assert page.count("Left out: could not be computed (ValueError: two lines)") == 2
    assert "<p>Well.</p>" in page
    assert "Not a finite number (nan on this page): a." in page
    assert "Pixels are shown from -1 (black) to 1 (white)" in page
    assert calls == [1]
    told = capsys.readouterr().out
    assert "2 of 3 parts of the page could not be computed: Bad (ValueError" in told


def test_fewer_training_images_than_neighbours_fill_their_rows(tmp_path: Path) -> None:
    subject = subject_of(CODES[:6])
    split = Split(subject.train.pixels[:3], None)
    subject.experiment.dataset = SimpleNamespace(train=split)
    generated = {"prior": subject.test.pixels}
    section = generation.show_neighbours(subject, generated, tmp_path)
    assert "followed by the 3 training images" in section.pictures[0].caption


def test_labels_of_test_images_alone_are_no_attribute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "STEPS", 1)
    images = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))
    examples = subject_of(CODES[:20]).test._replace(pixels=images)
    labelled = examples._replace(labels=np.arange(20) % 2)
    subject = subject_of(CODES[:20])
    found = find_attributes(subject._replace(train=examples, test=labelled))
    assert found.readable == () and found.probe is None
    # Those of training images alone still train a probe, of which features are used.
    found = find_attributes(subject._replace(train=labelled, test=examples))
    assert found.readable == () and found.probe is not None


def test_one_class_is_no_content_to_swap(tmp_path: Path) -> None:
    subject, attributes = make(np.abs(CODES), ("a", "b"))
    assert "two values" in swapping.show_swaps(subject, attributes, tmp_path).text
