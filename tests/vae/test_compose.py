"""Configurations become models, and what does not go together says so."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from configs import default
from vae.build import operative
from vae.compose import (
    bind_menus,
    group_of,
    make_optimizer,
    model_maker,
    naming,
    offering,
    with_method,
)
from vae.data.splits import Dataset, Split
from vae.types import Unsupported, UserError

CONFIG = operative(default.get_config())
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 2, 2, 1), np.uint8)
SPLIT = Split(IMAGES, np.arange(12) % 3)
DATASET = Dataset(SPLIT, SPLIT[:0], SPLIT)


def changed(**changes: Any) -> dict[str, Any]:
    config = default.get_config()
    config.update_from_flattened_dict(changes)
    return operative(config)


def model_of(**changes: Any) -> Any:
    config = changed(**changes)
    return model_maker(config, bind_menus(config), DATASET)(3, None)


def test_a_model_is_made_of_its_fields() -> None:
    model = model_of(
        **{"model.encoder.widths": (7, 5), "model.posterior.name": "iaf"},
        **{"model.condition": "label", "model.prior.name": "gaussian_mixture"},
        **{"model.prior.num_components": 6},
    )
    assert model.encoder.widths == (7, 5) and model.decoder.widths == (400,)
    assert model.num_labels == 3 and model.prior.num_components == 6
    keys = jax.random.split(jax.random.key(0), 12)
    x = IMAGES / np.float32(255)
    labels = jnp.asarray(SPLIT.labels)
    params = jax.eval_shape(model.init, jax.random.key(0), x, keys, label=labels)
    dense = params["params"]["encoder"]["mlp"]["dense_1"]["kernel"]
    assert dense.shape == (7, 5)


@pytest.mark.slow
@pytest.mark.parametrize("bias", ["data_mean", "zeros"])
def test_a_decoder_starts_at_the_mean_or_at_zeros(bias: str) -> None:
    model = model_of(**{"model.decoder.output_bias": bias})
    keys = jax.random.split(jax.random.key(0), 12)
    params = model.init(jax.random.key(0), IMAGES / np.float32(255), keys)["params"]
    mean = expit(np.asarray(params["decoder"]["output"]["bias"]))
    expected = IMAGES.mean(0).ravel() / 255 if bias == "data_mean" else 0.5
    np.testing.assert_allclose(mean, expected, rtol=1e-4)


def test_vamp_begins_at_images_of_the_data() -> None:
    model = model_of(
        **{"model.prior.name": "vamp", "model.prior.num_components": 3},
    )
    params = jax.jit(lambda: model.init(jax.random.key(0), method="prior_of"))()
    inputs = params["params"]["prior"]["pseudo_inputs"]
    np.testing.assert_allclose(inputs, IMAGES[[0, 6, 11]] / 255, rtol=1e-6)


def test_another_method_has_its_defaults() -> None:
    config = changed(**{"objective.beta": 4.0, "objective.num_samples": 7})
    other = with_method(config, "objective", "iwae")
    assert other["objective"] == CONFIG["objective"] | {"name": "iwae"}
    assert other | {"objective": config["objective"]} == config
    assert group_of(with_method(config, "optimizer.schedule", "cosine"), "")[
        "optimizer"
    ]["schedule"]["name"] == ("cosine")


def test_errors_name_the_field_and_what_works() -> None:
    def attempt(config: dict[str, Any]) -> None:
        with naming(config, "objective"):
            if config["objective"]["name"] not in ("iwae", "elbo"):
                raise Unsupported("needs what there is not")

    with (
        pytest.raises(UserError) as error,
        offering(CONFIG, attempt),
    ):
        attempt(CONFIG)
    assert str(error.value) == (
        "objective.name=beta_vae needs what there is not; with the other parts as they "
        "are, choose elbo or iwae"
    )


def test_errors_of_another_part_name_that() -> None:
    with (
        pytest.raises(UserError, match="^model.prior.name=standard_normal is not it$"),
        naming(CONFIG, "objective"),
    ):
        raise Unsupported("is not it", "prior")


def test_the_optimizer_is_that_of_its_group() -> None:
    """Three steps of momentum down a slope of 1, clipped to 1/2 and warmed up."""
    config = changed(
        **{"optimizer.name": "sgd", "optimizer.b1": 0.5, "optimizer.clip_norm": 0.5},
        **{"optimizer.schedule.warmup_steps": 2},
    )
    tx = make_optimizer(config, bind_menus(config), steps_per_epoch=5)
    params = {"model": {"x": jnp.float32(0.0)}, "objective": {}}
    slope = {"model": {"x": jnp.float32(1.0)}, "objective": {}}
    state, hparams = tx.init(params), {"learning_rate": jnp.float32(0.1)}
    for step in range(3):
        updates, state = tx.update(
            slope, state, params, hparams=hparams, step=jnp.int32(step)
        )
        params = optax.apply_updates(params, updates)
    moves = 0.5 * np.array([1, 1.5, 1.75]) * [0.5, 1, 1] * 0.1
    np.testing.assert_allclose(params["model"]["x"], -moves.sum(), rtol=1e-5)
