import pytest

from benchmarks import (
    flops,
)
from tests.benchmarks.test_run import config_of


def test_operations_of_a_dense_step() -> None:
    config = config_of(**{"dataset.batch_size": 10})
    kernels = (784 * 400, 400 * 7, 400 * 7, 7 * 400, 400 * 784)
    # Forward, and gradients of kernels and inputs; none of the image.
    assert flops.of_step(config) == 2 * 10 * (3 * sum(kernels) - kernels[0])


def test_operations_of_a_bound() -> None:
    config = config_of(**{"evaluate.bounds.importance_samples": 4_000})
    encoder, decoder = 784 * 400 + 2 * 400 * 7, 7 * 400 + 400 * 784
    # A first decoding, of which the compiler drops most, is written down, too.
    assert flops.of_bound(config) == 2 * (encoder + 4_001 * decoder)


@pytest.mark.slow
def test_operations_of_convolutions() -> None:
    names = {f"model.{part}.name": "conv_locatello" for part in ("encoder", "decoder")}
    data = {"dataset.name": "sprites", "dataset.binarize": "none"}
    config = config_of(**names, **data, **{"dataset.batch_size": 2})
    halving = [(32, 16, 1, 32), (16, 16, 32, 32), (8, 4, 32, 64), (4, 4, 64, 64)]
    doubling = [(4, 16, 64, 64), (8, 16, 64, 32), (16, 16, 32, 32), (32, 16, 32, 1)]
    # (side of the smaller image, kernel, channels before, after)
    first, *rest = (side**2 * k * c * f for side, k, c, f in halving + doubling)
    dense = (1024 * 256, 256 * 7, 256 * 7, 7 * 256, 256 * 1024)
    expected = 2 * 2 * (2 * first + 3 * sum(rest) + 3 * sum(dense))
    # Rows of a transposed convolution's border see zeros, which are counted.
    assert flops.of_step(config) == pytest.approx(expected, rel=0.02)
