import jax
import jax.numpy as jnp
import numpy as np

from vae import rng


def keys(count: int, samples: int = 1, seed: int = 0) -> jax.Array:
    per_example = rng.per_example(rng.stream(seed, "test"), jnp.arange(count))
    return rng.per_sample(per_example, jnp.arange(samples))


def test_a_larger_latent_space_keeps_the_noise_of_a_smaller_one() -> None:
    small = rng.normal(keys(3, 2), 5, jnp.float32)
    large = rng.normal(keys(3, 2), 16, jnp.float32)
    np.testing.assert_array_equal(small, large[..., :5])


def test_noise_depends_on_place_not_on_how_many_there_are() -> None:
    many = rng.normal(keys(7, 9), 3, jnp.float32)
    few = rng.normal(keys(4, 2), 3, jnp.float32)
    np.testing.assert_array_equal(few, many[:2, :4])


def test_a_traced_seed_draws_what_a_plain_seed_draws() -> None:
    def draw(seed):
        return jax.random.normal(rng.at_step(seed, "a", 3), (4,))

    np.testing.assert_array_equal(draw(5), jax.jit(draw)(jnp.uint32(5)))


def test_seeds_streams_steps_and_positions_differ() -> None:
    draws = [rng.normal(keys(1, seed=seed), 8, jnp.float32).ravel() for seed in (0, 1)]
    for stream, step in (("a", 0), ("a", 1), ("b", 0)):
        draws.append(jax.random.normal(rng.at_step(0, stream, step), (8,)))
    assert len({draw.tobytes() for draw in map(np.asarray, draws)}) == len(draws)
