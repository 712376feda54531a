import jax
import numpy as np
import pytest

from benchmarks import (
    flax_example,
)
from tests.benchmarks.test_run import config_of
from vae.build import build


def num_weights(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.slow
def test_the_example_has_our_weights_and_trains() -> None:
    config = config_of(**{"optimizer.eps": 1e-4})
    experiment = build(config)
    images = np.asarray(experiment.dataset.train.images[:200] > 127, np.uint8)
    model = flax_example.VAE((400,), 7, "relu")
    key = jax.random.key(0)
    theirs = model.init(key, images.reshape(200, -1).astype(np.float32), key)
    own, _ = experiment.make_own(7)
    keys = jax.random.split(key, 2)
    ours = own.init(key, images[:2].astype(np.float32), keys)
    assert num_weights(theirs["params"]) == num_weights(ours["params"])
    flax_example.training(config, images).run(3)
