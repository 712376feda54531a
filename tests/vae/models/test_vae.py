"""The linear VAE on MNIST against probabilistic PCA, whose optimum is known.

References:
  Tipping & Bishop 1999, Probabilistic Principal Component Analysis, eq. 7 and 8.
  Lucas et al. 2019, arXiv 1911.02469, theorem 1 (the linear VAE has the same optimum)
  and sec. 4 (which dimensions collapse).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.papers import linear_vae
from experiments.program import make_program, own_model
from vae.build import Experiment, build
from vae.data.preprocess import to_unit
from vae.models.padding import padded_width
from vae.training.state import run_of
from vae.types import Params


def linear_config(
    mnist_dir: str, latent_dim: int, steps: int, learning_rate: float
) -> Any:
    config = linear_vae.get_config()
    config.runtime.num_devices = 1
    config.optimizer.learning_rate = learning_rate
    config.runtime.data_dir = mnist_dir
    config.model.latent_dim = latent_dim
    config.train.steps = config.runtime.steps_per_call = config.train.log_every = steps
    return config


def train(experiment: Experiment, start: Params | None = None) -> Params:
    """Returns the model's parameters after training, from `start` if it is given."""
    program = make_program(experiment)
    state, totals = program.initialize(experiment)
    if start is not None:
        state = state._replace(params={**state.params, "model": start})
    population = experiment.placement.place([(state, totals)])
    steps = np.int32(experiment.plan.steps)
    arguments = population, program.data, program.positions, steps
    # Optimised, unlike other tests: these are thousands of steps.
    options = {"xla_backend_optimization_level": 3}
    call = program.call.lower(*arguments).compile(compiler_options=options)
    state, _ = run_of(call(*arguments), 0)
    _, variables = own_model(experiment, state)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])


@functools.cache
def pixels_and_components(mnist_dir: str) -> tuple[np.ndarray, ...]:
    """Returns the training images [N, 784], the eigenvalues [784] of their covariance,
    largest first, and its eigenvectors [784, 784], as columns."""
    images = build(linear_config(mnist_dir, 1, 1, 1e-3)).dataset.train.images
    x = to_unit(images).reshape(-1, 784)
    eigenvalues, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    return x, eigenvalues[::-1], vectors[:, ::-1]


def encode(params: Params, x: np.ndarray) -> list[np.ndarray]:
    """Returns the means and log-variances [N, q] of q(z | x)."""
    heads = params["posterior"]["mean"], params["posterior"]["log_variance"]
    return [x @ head["kernel"] + head["bias"] for head in heads]


def exact_elbo(params: Params, x: np.ndarray) -> float:
    """The mean ELBO, with the expectation over z in closed form."""
    mean, log_variance = encode(params, x)
    output = params["decoder"]["output"]
    residual = x - mean @ output["kernel"] - output["bias"]
    spread = np.exp(log_variance) @ (output["kernel"] ** 2).sum(1)
    variance = np.exp(2 * params["likelihood"]["log_scale"])
    errors = (residual**2).sum(1) + spread
    distortion = (784 * np.log(2 * np.pi * variance) + errors / variance) / 2
    rate = (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(1) / 2
    return -(distortion + rate).mean()


@pytest.mark.slow
def test_the_elbo_reaches_the_optimum_of_probabilistic_pca(mnist_dir: str) -> None:
    """In two dimensions; `configs/papers/ppca_optimum.py` measures more."""
    latent_dim, optimum = 2, 12.4277
    experiment = build(linear_config(mnist_dir, latent_dim, 2_000, learning_rate=0.01))
    x, eigenvalues, _ = pixels_and_components(mnist_dir)
    kept, noise = eigenvalues[:latent_dim], eigenvalues[latent_dim:].mean()
    logs = np.log(kept).sum() + (784 - latent_dim) * np.log(noise)
    known = -(logs + 784 * (1 + np.log(2 * np.pi))) / 2
    np.testing.assert_allclose(known, optimum, atol=1e-3)
    elbo = exact_elbo(train(experiment), x)
    assert optimum - 0.1 < elbo < optimum


@pytest.mark.slow
def test_exactly_the_dimensions_above_the_noise_stay_active(mnist_dir: str) -> None:
    """#{l_i > sigma^2}, trained from all principal directions active."""
    variance, active = 0.5, 23
    config = linear_config(mnist_dir, active + 3, 3_000, learning_rate=0.01)
    config.dataset.batch_size = 500
    config.model.likelihood.name = "gaussian"
    config.model.likelihood.scale = variance**0.5
    # Adam's step does not shrink with the gradient, which nearly vanishes where l_i is
    # nearly sigma^2.
    config.optimizer.name = "sgd"
    experiment = build(config)
    x, eigenvalues, _ = pixels_and_components(mnist_dir)
    params = train(experiment, principal_directions(mnist_dir, active + 3))
    assert (eigenvalues > variance).sum() == active
    # The variance of a mean is 1 - sigma^2 / l_i, at the weakest (l = .503) .0055.
    assert (encode(params, x)[0].var(0) > 0.004).sum() == active


def principal_directions(mnist_dir: str, count: int) -> Params:
    """Parameters of the model with every leading principal component in use."""
    x, eigenvalues, vectors = pixels_and_components(mnist_dir)
    scale, directions = np.sqrt(eigenvalues[:count]), vectors[:, :count]
    padding = (0, padded_width(count) - count)
    columns = ((0, 0), padding)
    tree = {
        "posterior": {
            "mean": {
                "kernel": np.pad(directions / scale, columns),
                "bias": np.pad(-x.mean(0) @ directions / scale, padding),
            },
            "log_variance": {
                "kernel": np.zeros((784, count + padding[1])),
                "bias": np.pad(np.full(count, np.log(0.3)), padding),
            },
        },
        "decoder": {
            "output": {
                "kernel": np.pad((directions * scale).T, (padding, (0, 0))),
                "bias": x.mean(0),
            },
        },
    }
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)
