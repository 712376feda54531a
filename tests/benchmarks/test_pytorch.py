import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.benchmarks.test_flax_example import num_weights
from tests.benchmarks.test_run import config_of
from vae.build import build


@pytest.mark.parametrize("name", ["mlp", "conv_locatello"])
def test_pytorch_has_our_weights(name: str) -> None:
    pytest.importorskip("torch", reason="needs requirements-benchmark.txt")
    from benchmarks import pytorch

    side = 64 if name == "conv_locatello" else 28
    data = {"dataset.name": "sprites", "dataset.binarize": "none"}
    names = {f"model.{part}.name": name for part in ("encoder", "decoder")}
    config = config_of(**names, **(data if side == 64 else {}))
    experiment = build(config)
    own, _ = experiment.make_own(7)
    key, x = jax.random.key(0), jnp.zeros((2, side, side, 1))
    ours = own.init(key, x, jax.random.split(key, 2))
    theirs = pytorch.make_vae(config, np.zeros((2, side, side, 1), np.uint8))
    assert num_weights(ours["params"]) == sum(p.numel() for p in theirs.parameters())


def test_samples_are_cut_into_chunks() -> None:
    pytest.importorskip("torch", reason="needs requirements-benchmark.txt")
    from benchmarks import pytorch

    assert pytorch.chunk_sizes(2_500) == [1_000, 1_000, 500]
    assert pytorch.chunk_sizes(2) == [2]
