"""The VAE example of Flax, github.com/google/flax/tree/main/examples/vae, with its step
under `jax.jit` and the layers of the configuration.

As there, images are binary once for all and shuffled on the host, each step takes a
batch from there and splits a key, and the cross-entropy goes by `log_sigmoid`.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

from benchmarks.timing import Contestant
from vae.build import Config

ACTIVATIONS = {"tanh": nn.tanh, "relu": nn.relu}


class VAE(nn.Module):
    """Dense layers, given from the image inwards."""

    widths: tuple[int, ...]
    latents: int
    activation: str

    @nn.compact
    def __call__(self, x: jax.Array, key: jax.Array):
        """Maps images [B, P] to logits [B, P], means and log-variances [B, D]."""
        activation, pixels = ACTIVATIONS[self.activation], x.shape[-1]
        for width in self.widths:
            x = activation(nn.Dense(width)(x))
        mean, log_variance = nn.Dense(self.latents)(x), nn.Dense(self.latents)(x)
        noise = jax.random.normal(key, log_variance.shape)
        hidden = mean + noise * jnp.exp(0.5 * log_variance)
        for width in reversed(self.widths):
            hidden = activation(nn.Dense(width)(hidden))
        return nn.Dense(pixels)(hidden), mean, log_variance


def training(config: Config, images: np.ndarray) -> Contestant:
    """Steps of one run on images [N, H, W, C] of zeros and ones."""
    widths = tuple(config.model.encoder.widths)
    activation = config.model.encoder.activation
    model = VAE(widths, config.model.latent_dim, activation)
    flat = images.reshape(len(images), -1).astype(np.float32)
    batches = _batches(flat, config.dataset.batch_size)
    rng, key = jax.random.split(jax.random.key(config.seed))
    params = model.init(key, next(batches), rng)["params"]
    tx = optax.adam(config.optimizer.learning_rate, eps=config.optimizer.eps)
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    def run(steps: int) -> None:
        nonlocal state, rng
        for _ in range(steps):
            rng, key = jax.random.split(rng)
            state = _train_step(state, next(batches), key)
        jax.block_until_ready(state)

    return Contestant("Flax's example, jitted", run)


@partial(jax.jit, donate_argnums=0)
def _train_step(state: TrainState, batch: jax.Array, key: jax.Array) -> TrainState:
    def loss_of(params):
        logits, mean, log_variance = state.apply_fn({"params": params}, batch, key)
        log_p = nn.log_sigmoid(logits)
        log_not_p = jnp.log(-jnp.expm1(log_p))
        cross_entropy = -(batch * log_p + (1 - batch) * log_not_p).sum(-1)
        variance = jnp.exp(log_variance)
        kl = -0.5 * (1 + log_variance - mean**2 - variance).sum(-1)
        return (cross_entropy + kl).mean()

    return state.apply_gradients(grads=jax.grad(loss_of)(state.params))


def _batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    while True:
        order = random.permutation(len(images))
        for start in range(0, len(images) - size + 1, size):
            yield images[order[start : start + size]]
