import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import (
    layers,
)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("channels", [(1, 5), (5, 1), (3, 3)])
def test_ways_to_convolve_agree(channels: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, 8, 8, channels[0])), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(4, 4, *channels)), jnp.float32)
    for ways in (layers.halving_ways(), layers.doubling_ways()):
        (_, lax, _), *others = ways
        expected = lax(x, kernel)
        assert len(others) >= 4
        for name, way, _ in others:
            np.testing.assert_allclose(
                way(x, kernel), expected, atol=1e-4, err_msg=name
            )
