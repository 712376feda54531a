from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.training import train
from vae.training.parallel import (
    make_placement,
    one_per_device,
    over_runs,
)
from vae.training.state import SKIPPED, Carry
from vae.types import UserError


def each_placement(config: Any) -> list[Carry]:
    """Trains for 50 steps: on one device, on four, and on four by `pmap`."""
    config.train.steps = 50
    found = []
    for parallel, num_devices in (("jit", 1), ("jit", 4), ("pmap", 4)):
        config.runtime.parallel, config.runtime.num_devices = parallel, num_devices
        found.append(train(config))
    return found


def normalized_ladder(config: Any) -> None:
    """Gives a model three groups of codes, normalised over the minibatch."""
    config.model.name = "ladder"
    config.model.groups, config.model.group_widths = (3, 2), (8, 8)
    config.model.group_normalization = "batch"
    config.model.encoder.normalization = config.model.decoder.normalization = "batch"


def averaged_and_skipping(config: Any) -> None:
    """Averages weights and skips about half of the updates."""
    config.optimizer.ema_decay, config.optimizer.skip_norm = 0.9, 6.0
    config.optimizer.name, config.optimizer.weight_decay = "adamax", 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda config: None, normalized_ladder, averaged_and_skipping]
)
def test_devices_and_pmap_agree(small_config, change: Callable[[Any], None]) -> None:
    change(small_config)
    small_config.precision = "float64"
    one, *others = each_placement(small_config)
    for many in others:
        assert many[1].sums["loss"].dtype == np.float64
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9),
            (one[0].params, one[0].averaged, one[1].sums["loss"] / 50),
            (many[0].params, many[0].averaged, many[1].sums["loss"] / 50),
        )
        assert (SKIPPED in one[1].sums) == (small_config.optimizer.skip_norm > 0)
        if SKIPPED in one[1].sums:
            assert 5 < one[1].sums[SKIPPED] < 45


@pytest.mark.slow
def test_in_float32_the_losses_agree(small_config) -> None:
    """Adam amplifies rounding, so parameters do not."""
    one, *others = each_placement(small_config)
    for _, many in others:
        assert many.sums["loss"].dtype == np.float32
        np.testing.assert_allclose(one[1].sums["loss"], many.sums["loss"], rtol=1e-4)


@pytest.mark.parametrize("size", [1, 4])
def test_a_population_is_its_runs_alone(size: int) -> None:
    """Runs with a part of their own, one that they share, and none."""

    def function(state: dict[str, jax.Array], noise: jax.Array, shared: jax.Array):
        return {"x": state["x"] * shared + noise, "same": state["same"] + 1}, None

    axes = {"x": 0, "same": None}
    together = jax.jit(over_runs(function, (axes, 0, None), (axes, 1)))
    shared, x = jnp.array([1.0, 2.0, 5.0]), jnp.arange(3.0) + jnp.arange(size)[:, None]
    noise, same = 0.1 * jnp.arange(size), jnp.float32(7)
    found, nothing = together({"x": x, "same": same}, noise, shared)
    assert nothing is None
    for run in range(size):
        alone, _ = function({"x": x[run], "same": same}, noise[run], shared)
        np.testing.assert_array_equal(found["x"][run], alone["x"])
        assert found["same"] == alone["same"]


def test_what_the_devices_cannot_do_is_refused() -> None:
    assert make_placement("jit", 0, 8).num_devices == len(one_per_device(0)) == 4
    with pytest.raises(UserError, match="num_devices=5 but there are 4"):
        make_placement("jit", 5, 10)
    with pytest.raises(UserError, match="multiple of 4 or set runtime.num_devices"):
        make_placement("jit", 4, 10)
