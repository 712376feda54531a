import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.vae.nn.test_flows import points
from vae.distributions.categorical import Quantized
from vae.models import codebook
from vae.models.codebook import Codebook, start_codebook


def train_codebook(
    encodings: jax.Array, start: jax.Array, steps: int, draws: int = 0
) -> tuple[jax.Array, jax.Array]:
    """Returns the loss and the vectors after so many steps on the same encodings
    [B, E]; keys change with the step if `draws`, else no vector is offered any."""
    book, share = Codebook(*start.shape), 1 / len(start)
    averages = {
        "average_count": jnp.full(len(start), share),
        "average_sum": start * share,
    }

    def loss(variables, step):
        quantized = Quantized(encodings[:, None], book.apply(variables))
        keys = jax.random.split(jax.random.key(step * draws), len(encodings))
        return book.apply(variables, quantized, keys, method="ema_loss")

    def train_step(step, variables):
        gradient = jax.grad(loss)(variables, step)
        return jax.tree.map(lambda p, g: p - 0.01 * g, variables, gradient)

    @jax.jit
    def train(steps):
        end = jax.lax.fori_loop(0, steps, train_step, {"params": averages})
        return loss(end, steps), book.apply(end)

    return train(steps)


CENTRES = jnp.array([[3.0, 0.0], [-3.0, 1.0]])


def test_codebook_moves_to_the_means_and_unused_vectors_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codebook, "DEAD", 0.0)
    encodings = CENTRES[jnp.array([0, 0, 0, 1, 1])] + 0.1 * points(5, 2)
    start = jnp.array([[2.0, 1.0], [-2.0, -1.0], [1.0, 20.0]])
    means = [encodings[:3].mean(0), encodings[3:].mean(0)]
    # 0.99^10,000 is no float32: unused vectors stay where both averages would vanish.
    for steps in (2_000, 10_000):
        value, vectors = train_codebook(encodings, start, steps)
        assert value == 0
        # averages of float32 stand still 1e-7 / 0.01 before they arrive
        np.testing.assert_allclose(vectors[:2], means, atol=1e-4)
        np.testing.assert_allclose(vectors[2], start[2], rtol=1e-4)


@pytest.mark.slow
def test_dead_vectors_move_to_encodings() -> None:
    """Eight clusters and sixteen vectors, one of them near all clusters."""
    centres = 3 * points(8, 2, seed=5)
    encodings = jnp.repeat(centres, 8, axis=0) + 0.01 * points(64, 2)
    start = jnp.full((16, 2), 50.0).at[0].set(0.0)
    _, vectors = train_codebook(encodings, start, 3_000, draws=1)
    distances = jnp.linalg.norm(centres[:, None] - vectors, axis=-1)
    assert (distances.min(axis=1) < 0.1).all()


def test_a_codebook_begins_at_encodings() -> None:
    encodings = 5 * points(40, 3)
    vectors = start_codebook(encodings, 10, jax.random.key(0))
    distances = jnp.linalg.norm(vectors - encodings[::4], axis=-1)
    assert 0 < distances.max() < 0.3
    many = start_codebook(encodings, 100, jax.random.key(0))
    assert len(np.unique(many, axis=0)) == 100
