"""Likelihood regret: by how much an image's bound grows if its own encoder is tuned."""

from collections.abc import Callable

import jax
import optax

from vae import rng
from vae.evaluation.bounds import make_importance_bound
from vae.models.base import Model
from vae.nn.layers import without_averages
from vae.objectives.base import elbo_terms
from vae.types import Params, Unsupported

STEPS, LEARNING_RATE = 100, 2e-4  # as in the paper's code
NEEDS_OWN_PRIOR = "the regret needs a prior p(z) that is not made of q(z | x)"


def make_likelihood_regret(
    model: Model, num_samples: int
) -> Callable[[Params, jax.Array, jax.Array | None, jax.Array], jax.Array]:
    """Returns (variables, x [B, H, W, C], labels [B], keys [B]) -> regret [B] in nats.

    For each image by itself, Adam moves what infers q(z | x), but for moving averages,
    and nothing else, up the ELBO; the regret is the growth of the importance-weighted
    bound of `num_samples` samples, by the same noise before and after. It is high for
    images that the model could explain but does not expect.

    References:
      Xiao et al. 2020, arXiv 2003.02977, eq. 5.

    Raises:
      Unsupported: the prior is made of q(z | x), which moves.
    """
    if model.prior.shares_inference:
        raise Unsupported(NEEDS_OWN_PRIOR)
    tx = optax.adam(LEARNING_RATE)
    bound = make_importance_bound(model, num_samples)

    def regret(variables: Params, x: jax.Array, label: jax.Array, key: jax.Array):
        """Of one image x [1, H, W, C]."""
        params = variables["params"]
        parts = [part for part in model.inference_parts if part in params]
        before = {part: params[part] for part in parts}

        def with_own(own: Params) -> Params:
            return {**variables, "params": {**params, **own}}

        def loss(own: Params, step: jax.Array) -> jax.Array:
            keys = rng.per_sample(rng.named(key[0], "regret")[None], step[None])[0]
            inference = model.apply(with_own(own), x, keys, label=label)
            terms = elbo_terms(inference, x)
            return (terms.distortion + terms.rate).sum()

        def tune(step: jax.Array, carry: tuple[Params, optax.OptState]):
            own, state = carry
            gradient = without_averages(jax.grad(loss)(own, step))
            updates, state = tx.update(gradient, state)
            return optax.apply_updates(own, updates), state

        start = before, tx.init(before)
        after, _ = jax.lax.fori_loop(0, STEPS, tune, start)
        likelihoods = [
            bound(with_own(own), x, label, key).log_likelihood
            for own in (after, before)
        ]
        return (likelihoods[0] - likelihoods[1])[0]

    def regrets(
        variables: Params, x: jax.Array, labels: jax.Array | None, keys: jax.Array
    ) -> jax.Array:
        one_by_one = jax.tree.map(lambda a: a[:, None], (x, labels, keys))
        return jax.vmap(regret, (None, 0, 0, 0))(variables, *one_by_one)

    return regrets
