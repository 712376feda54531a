"""Codes in a plane, their colours and their thumbnails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.latents import plane
from tests.experiments.latents.conftest import (
    CODES,
    COUNT,
    NOTHING,
    initial_model,
    known_model,
    words,
)


@pytest.mark.slow
def test_a_latent_space_of_two_dimensions_is_a_plane(tmp_path: Path) -> None:
    subject = initial_model(**{"model.latent_dim": 2})
    values = {"label": subject.test.labels}
    attributes = NOTHING._replace(test=values)
    section = plane.show_plane(subject, attributes, tmp_path)
    names = [path.name for path in section.pictures.values()]
    text = words("plane", section)
    assert "coloured by label" in text and "By the two dimensions." in text
    assert "quantiles from 0.02 to 0.98" in text
    assert names == ["embedding_codes.png", "manifold.png"]
    with Image.open(tmp_path / "manifold.png") as picture:
        assert picture.width == picture.height > 600


def test_thumbnails_keep_their_distance() -> None:
    points = np.random.default_rng(0).uniform(size=(3000, 2))
    chosen = points[plane.spread_out(points, np.zeros(2), np.ones(2))]
    assert len(chosen) == plane.THUMBNAILS
    apart = np.abs(chosen[:, None] - chosen).max(axis=-1)
    least = plane.THUMBNAIL_INCHES / plane.INCHES
    assert (apart + np.eye(len(chosen)) > least).all()


@pytest.mark.parametrize(
    ("codes", "pictures"),
    [
        (CODES[:1], []),
        (CODES[:, :1], []),
        (np.ones((COUNT, 3)), []),
        (CODES[:2], ["embedding_pca.png"]),
        (CODES[:15], ["embedding_pca.png"]),
        (np.eye(COUNT, 2, dtype=float) * [1, 0], ["embedding_codes.png"]),
    ],
    ids=["one", "one dimension", "constant", "two", "few", "constant dimension"],
)
def test_a_plane_of_few_or_constant_codes(
    codes: np.ndarray, pictures: list[str], tmp_path: Path
) -> None:
    subject, _ = known_model(codes, is_conditional=True)
    section = plane.show_plane(subject, NOTHING, tmp_path)
    assert [path.name for path in section.pictures.values()] == pictures
    assert bool(section.left_out) == (not pictures)
    assert "UMAP" not in words("plane", section)


def test_thumbnails_of_any_channels(tmp_path: Path) -> None:
    subject, _ = known_model(CODES[:9])
    for channels in (2, 3, 5):

        def decode(z: Any, labels: Any = None, channels: int = channels) -> np.ndarray:
            return np.repeat(np.asarray(z)[:, None, :, None], channels, axis=-1)

        section = plane.show_plane(subject._replace(decode=decode), NOTHING, tmp_path)
        assert section.pictures["pca"].exists()


def test_the_page_knows_where_test_images_are_in_a_picture(tmp_path: Path) -> None:
    subject, _ = known_model(CODES)
    section = plane.show_plane(subject, NOTHING, tmp_path)
    hover, count = section.facts["hover"], min(COUNT, plane.HOVERED)
    assert hover["names"][2] == "Test image 2" and len(hover["names"]) == count
    assert hover["sheet"]["width"] == 3 and hover["sheet"]["height"] == 1
    with Image.open(section.pictures["pca"]) as picture:
        pixels = np.asarray(picture.convert("L"))
    shares = np.array(hover["points"]["pca"])
    assert shares.shape == (count, 2)
    inside = shares[((shares > 0.01) & (shares < 0.99)).all(axis=1)]
    rows, columns = (inside[:, ::-1] * pixels.shape).astype(int).T
    assert len(inside) > 0.95 * count and (pixels[rows, columns] < 255).mean() > 0.9
    assert (pixels < 255).mean() < 0.5
    assert "image under the pointer is shown" in words("plane", section)


def test_many_values_go_from_dark_to_light_and_some_are_named(tmp_path: Path) -> None:
    ten, many = (plane.colour(np.arange(count) * 7 - 30, count) for count in (10, 99))
    assert len(np.unique(ten, axis=0)) == 10
    assert (np.diff(many[:, :3].sum(axis=1)) > -0.1).all()
    subject, _ = known_model(CODES)
    values = {"label": np.arange(COUNT)}
    attributes = NOTHING._replace(train=values, test=values)
    section = plane.show_plane(subject, attributes, tmp_path)
    assert section.pictures["pca"].exists()
