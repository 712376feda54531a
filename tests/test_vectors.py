"""Vectors [N, D] are an event like any other: what holds of images holds of them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import make_program
from tests.helpers.counts import COUNTS
from tests.vae.test_registry import choices, tiny_config
from vae.build import build
from vae.registry import LIKELIHOODS
from vae.training.step import make_batch
from vae.types import UserError

OF_OTHERS = {"per_column", "discretized_logistic_mixture_rgb"}  # tables, colours


@pytest.mark.sampled(1)
@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS.keys() - OF_OTHERS))
def test_vectors_are_images_of_one_row(tmp_path: Path, likelihood: str) -> None:
    """Bit for bit: the loss, its gradients, and the first parameters."""
    random, found = np.random.default_rng(0), []
    values = random.integers(0, 256, (16, 6)).astype(np.float32) / 255
    if likelihood == "bernoulli":
        values = values.round()
    if likelihood in COUNTS:
        values = (9 * values).round()
    for shape in ((16, 6), (16, 1, 6, 1)):
        path = tmp_path / f"{len(shape)}.npz"
        x = values.reshape(shape)
        np.savez(path, x_train=x, x_test=x)
        config = tiny_config(f"npz:{path}", likelihood=likelihood)
        config.dataset.binarize = "none"
        experiment = build(config)
        state, _ = make_program(experiment).initialize(experiment)
        stored, places = experiment.dataset.train[:8], jnp.arange(8)
        batch = make_batch(stored, experiment.preprocess, places, 0, 0)
        loss = jax.jit(jax.value_and_grad(experiment.objective.loss, has_aux=True))
        key = jax.random.key(0)
        given = state.params, batch, key, experiment.hparams, 0
        found.append((state.params, loss(*given)))
        found[-1] = jax.tree.map(lambda leaf: np.asarray(leaf).ravel(), found[-1])
    jax.tree.map(np.testing.assert_array_equal, *found)


def test_vectors_are_not_mirrored(tmp_path: Path) -> None:
    x = np.eye(8, 6, dtype=np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x)
    config = tiny_config(f"npz:{tmp_path}/a.npz")
    config.dataset.flip = "horizontal"
    with pytest.raises(UserError, match=r"are vectors: set dataset\.flip=none"):
        build(config)


def test_vectors_that_no_likelihood_or_scale_fits_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def attempt(x: np.ndarray, **names: str) -> Any:
        np.savez(tmp_path / "a.npz", x_train=x, x_test=x)
        return build(tiny_config(f"npz:{tmp_path}/a.npz", **names))

    mixed = random.integers(0, 2, (16, 6)).astype(np.float32)
    assert attempt(mixed).config["dataset"]["binarize"] == "dynamic"
    mixed[:, 5] = random.uniform(size=16)  # not to be drawn as 0 or 1
    with pytest.raises(UserError, match="vectors of 6 columns.* models 0 or 1: set"):
        attempt(mixed)
    with pytest.raises(UserError, match="vectors of 1 columns"):
        attempt(mixed[:, 5:])
    mixed[:, 2] = -30 * random.uniform(1, 2, 16)
    with pytest.raises(UserError, match="in column 2, .*dataset.scale=standardize"):
        attempt(mixed, likelihood="gaussian_shared")
    mixed[:, 2] /= 30  # below 0, where pseudo-inputs of images never are
    experiment = attempt(mixed, likelihood="gaussian_shared", prior="vamp")
    state, _ = make_program(experiment).initialize(experiment)
    inputs = state.params["model"]["prior"]["pseudo_inputs"]
    assert inputs.shape[1:] == (6,) and inputs.min() < 0


def test_networks_of_images_refuse_vectors(tmp_path: Path) -> None:
    x = np.zeros((16, 6), np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x)
    for part in ("encoder", "decoder"):
        config = tiny_config(f"npz:{tmp_path}/a.npz", **{part: "conv"})
        with pytest.raises(
            UserError, match=f"model.{part}.name=conv needs images"
        ) as e:
            build(config)
        assert choices(e.value) == {"mlp", "gated_mlp"}
