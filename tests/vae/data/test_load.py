"""What a configuration makes of data that fit it, and of data that do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs import default
from vae.build import build
from vae.data.load import other_images
from vae.data.splits import Dataset, Split
from vae.models.likelihoods import Gaussian
from vae.types import UserError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 8, 8), np.uint8)
COLOUR = RANDOM.integers(0, 256, (40, 8, 8, 3), np.uint8)
BINARY_COLOUR = 255 * RANDOM.integers(0, 2, (40, 8, 8, 3)).astype(np.uint8)


def config_of(images: np.ndarray, folder: Path, **changes: str) -> Any:
    np.savez(folder / "data.npz", x_train=images, x_test=images[:10])
    config = default.get_config("smoke")
    config.dataset.name = f"npz:{folder}/data.npz"
    config.dataset.batch_size = 20
    config.runtime.num_devices = 1
    config.model.likelihood.name = changes.get("likelihood", "bernoulli")
    config.dataset.binarize = changes.get("binarize", "auto")
    return config


@pytest.mark.parametrize(
    ("images", "likelihood", "binarize", "notes"),
    [
        (BINARY_COLOUR, "bernoulli", "dynamic", 0),
        (GREY, "bernoulli", "dynamic", 1),
        (COLOUR, "gaussian", "none", 0),
        (GREY, "discretized_logistic", "none", 0),
    ],
)
def test_auto_binarises_for_bernoulli_pixels_only(
    images: np.ndarray, likelihood: str, binarize: str, notes: int, tmp_path: Path
) -> None:
    config = config_of(images, tmp_path, likelihood=likelihood)
    experiment = build(config)
    assert experiment.config["dataset"]["binarize"] == binarize
    assert len(experiment.notes) == notes
    assert config.dataset.binarize == "auto"  # the user's own is left as it is


def test_colours_are_not_drawn_as_black_or_white_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"3 channels, .*gaussian_shared .*, or .*=dyn"):
        build(config_of(COLOUR, tmp_path))
    build(config_of(COLOUR, tmp_path, binarize="dynamic"))


@pytest.mark.parametrize("scale", ["standardize", "log1p"])
def test_scaled_values_are_not_drawn_as_zeros_and_ones(
    scale: str, tmp_path: Path
) -> None:
    config = config_of((GREY.reshape(40, 64) > 99).astype(np.float32), tmp_path)
    build(config)
    config.dataset.scale = scale
    with pytest.raises(UserError, match="cannot draw scaled values.*scale=none, or"):
        build(config)


def test_pictures_of_8_and_of_16_bits_can_be_scored_by_runs_on_either() -> None:
    own = default.get_config()
    own.dataset.name, own.dataset.binarize = "images:own", "none"
    own.model.likelihood.name, likelihood = "gaussian", Gaussian()
    as_bytes = GREY[..., np.newaxis]
    as_floats = as_bytes / np.float32(255)
    everything = {
        images.dtype: Dataset(*[Split(images, None)] * 3)
        for images in (as_bytes, as_floats)
    }
    splits = [Split(x, None) for x in (as_bytes, as_floats, as_floats + 1e-3)]
    for split, run, expected in (
        (splits[0], as_floats, as_floats),
        (splits[1], as_bytes, as_bytes),
        (splits[2]._replace(images=splits[2].images.clip(0, 1)), as_bytes, as_bytes),
    ):
        of_run = everything[run.dtype]
        given = own, of_run, likelihood, split, "--score"
        got = other_images(*given, name="images:a").images
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        with pytest.raises(UserError, match="save them as"):
            other_images(*given, name="npz:a")
