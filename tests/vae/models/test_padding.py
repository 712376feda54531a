"""A model in a wider latent space is the model of its own size."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import make_program
from vae import rng
from vae.build import build
from vae.models.padding import cut_to, pad_to, padded_width
from vae.training.step import make_batch

OWN = 3


def test_widths_are_multiples_of_sixteen() -> None:
    assert [padded_width(size) for size in (1, 2, 16, 17, 32)] == [16, 16, 16, 32, 32]


CASES = [
    *({"objective": name} for name in ("elbo", "free_bits", "beta_tcvae", "iwae")),
    *({"objective": name} for name in ("dip_vae_ii", "dreg")),
    {"prior": "gaussian_mixture"},
    {"prior": "vamp"},
    {"prior": "conditional_gaussian"},
]


@pytest.mark.slow
@pytest.mark.parametrize("names", CASES, ids=lambda names: "-".join(names.values()))
def test_loss_and_gradients_are_those_of_the_own_size(
    small_config, names: dict[str, str]
) -> None:
    small_config.model.latent_dim = OWN
    small_config.objective.name = names.get("objective", "elbo")
    prior = small_config.model.prior
    prior.name = names.get("prior", "standard_normal")
    if prior.name == "conditional_gaussian":
        small_config.model.condition = "label"
    elif prior.name != "standard_normal":
        prior.num_components = 4
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    stored = experiment.dataset.train[:20]
    batch = make_batch(stored, experiment.preprocess, jnp.arange(20), 0, 0)
    own_model, own_objective = experiment.make_own(OWN)
    keys = rng.per_example(jax.random.key(0), batch.position)
    shapes = {
        "model": jax.eval_shape(
            lambda: own_model.init(jax.random.key(0), batch.x, keys, label=batch.label)
        )["params"],
        "objective": {},
    }
    own_params = cut_to(state.params, shapes)
    # Trained parameters are no zeros: these are nearer to them than those at the start.
    shift = jax.tree.map(lambda leaf: 0.1 * jnp.cos(jnp.arange(leaf.size)), own_params)
    own_params = jax.tree.map(lambda a, b: a + b.reshape(a.shape), own_params, shift)
    own_hparams = {k: v for k, v in experiment.hparams.items() if k != "latent_dim"}

    def compute(objective: Any, params: Any, hparams: Any) -> Any:
        grad = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))
        return grad(params, batch, jax.random.key(1), hparams, 0)

    own, own_grads = compute(own_objective, own_params, own_hparams)
    wide, grads = compute(
        experiment.objective, pad_to(own_params, state.params), experiment.hparams
    )
    np.testing.assert_allclose(wide[0], own[0], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        grads,
        pad_to(own_grads, grads),
    )
