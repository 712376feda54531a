from statistics import NormalDist

import numpy as np

from vae.latents.traverse import QUANTILES, traverse


def test_a_traversal_changes_one_dimension_at_a_time() -> None:
    base, dimensions = np.array([0.1, 0.2, 0.3]), np.array([2, 0])
    moved = traverse(base, dimensions)
    assert moved.shape == (2, len(QUANTILES), 3)
    quantiles = [NormalDist().inv_cdf(q) for q in QUANTILES]
    for row, dimension in zip(moved, dimensions, strict=True):
        np.testing.assert_allclose(row[:, dimension], quantiles, atol=1e-12)
        others = np.arange(3) != dimension
        assert (row[:, others] == base[others]).all()
    np.testing.assert_allclose(moved[1, [0, 5, -1], 0], [-1.645, 0, 1.645], atol=1e-3)
