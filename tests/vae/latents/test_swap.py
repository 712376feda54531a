import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import make_program, own_model
from vae.build import build
from vae.latents.swap import (
    linear_discriminants,
    style_transfer,
    variance_between,
)


def test_a_style_is_put_on_every_label() -> None:
    z = np.arange(6.0).reshape(3, 2)
    images = style_transfer(
        lambda z, label: z[:, :1] + 10 * label[:, None], z, num_labels=4
    )
    expected = np.array([0, 2, 4])[:, None] + 10 * np.arange(4)
    np.testing.assert_array_equal(images[..., 0], expected)


@pytest.mark.slow
def test_a_conditional_model_transfers_styles(small_config) -> None:
    small_config.model.condition = "label"
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    model, variables = own_model(experiment, state)

    def decode(z, label):
        return model.apply(variables, z, label=label, method="decode").mean

    z = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
    images = style_transfer(decode, z, 10)
    assert images.shape == (2, 10, 28, 28, 1)
    alone = decode(z[1:], jnp.array([7]))[0]
    np.testing.assert_allclose(images[1, 7], alone, atol=1e-6)
    assert np.abs(images[1, 7] - images[1, 3]).max() > 1e-3


def groups(count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussians of one covariance around three means on a line: codes [N, 3], classes,
    covariance."""
    random = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, 0.0], [0.0, 0.0, 0.5]])
    classes = random.integers(3, size=count)
    noise = random.multivariate_normal(np.zeros(3), covariance, count)
    return noise + classes[:, None] * STEP, classes, covariance


STEP = np.array([1.0, 0.2, 0.0])  # from mean to mean


def test_the_share_of_variance_between_classes() -> None:
    codes, classes, covariance = groups()
    between = STEP**2 * classes.var()
    truth = between / (between + np.diag(covariance))
    np.testing.assert_allclose(variance_between(codes, classes), truth, atol=0.01)
    # All of it, none of it, and a dimension that says nothing at all.
    codes = np.array([[1.0, 0, 5], [1, 2, 5], [3, 2, 5], [3, 0, 5]])
    shares = variance_between(codes, np.array([4, 4, 7, 7]))
    np.testing.assert_array_equal(shares, [1, 0, 0])


def test_discriminants_hold_all_that_tells_classes_apart() -> None:
    codes, classes, covariance = groups()
    basis = linear_discriminants(codes, classes)
    # The best classifier of Gaussians of one covariance S looks along S^-1 (m1 - m0).
    truth = np.linalg.solve(covariance, STEP)
    cosine = basis[:, 0] @ truth / np.linalg.norm(basis[:, 0]) / np.linalg.norm(truth)
    assert abs(cosine) > 0.999
    coordinates = codes @ basis
    within = np.stack([coordinates[classes == i].var(axis=0) for i in range(3)])
    np.testing.assert_allclose(within, 1, atol=0.05)
    means = np.stack([coordinates[classes == i].mean(axis=0) for i in range(3)])
    assert np.ptp(means[:, 1:], axis=0).max() < 0.05 < np.ptp(means[:, 0])
    one = linear_discriminants(codes[:, :1], classes)
    assert one.shape == (1, 1)
    np.testing.assert_allclose(1 / one[0, 0] ** 2, covariance[0, 0], rtol=0.03)


def test_a_dimension_that_is_hardly_used_is_no_discriminant() -> None:
    codes, classes, _ = groups(3_000)
    random = np.random.default_rng(1)
    codes[:, 2] = 1e-4 * (random.normal(size=len(codes)) + 9 * classes)
    # By itself it would tell the classes apart better than the others do.
    first = np.abs(linear_discriminants(codes, classes)[:, 0]) * codes.std(axis=0)
    assert first[2] < 0.01 * first[0]
