import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vae.latents.embed import decoded_manifold, principal_components, umap


def test_a_plane_of_codes_keeps_its_distances() -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(200, 2)) * [3, 1]
    axes = np.linalg.qr(random.normal(size=(6, 6)))[0][:2]
    embedded = principal_components(flat @ axes + 5)
    assert embedded.shape == (200, 2)
    np.testing.assert_allclose(embedded.mean(axis=0), 0, atol=1e-12)
    assert embedded[:, 0].var() > embedded[:, 1].var()
    np.testing.assert_allclose(pdist(embedded), pdist(flat))


@pytest.mark.slow
def test_umap_keeps_clusters_apart_and_is_repeated_by_its_seed() -> None:
    random = np.random.default_rng(0)
    codes = random.normal(size=(100, 5)).astype("f4")
    codes[50:] += 20
    first, again, other = (umap(codes, seed) for seed in (0, 0, 1))
    assert first.shape == (100, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    means = np.stack([first[:50].mean(axis=0), first[50:].mean(axis=0)])
    distances = np.linalg.norm(first[:, None] - means, axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), np.repeat([0, 1], 50))
    assert np.linalg.norm(means[0] - means[1]) > 3 * distances.min(axis=1).max()


def test_a_manifold_is_laid_out_as_the_plane() -> None:
    codes = decoded_manifold(lambda z: z[:, None], 5, (0.05, 0.95))
    assert codes.shape == (5, 5, 1, 2)
    np.testing.assert_allclose(codes[0, 0, 0], [-1.645, 1.645], atol=1e-3)
    np.testing.assert_allclose(codes[4, 0, 0], [-1.645, -1.645], atol=1e-3)
    np.testing.assert_allclose(codes[0, 4, 0], [1.645, 1.645], atol=1e-3)
    np.testing.assert_allclose(codes[2, 2, 0], 0, atol=1e-12)
    # Even in probability: a quarter of the way is the quantile .275.
    np.testing.assert_allclose(codes[2, 1, 0], [-0.598, 0], atol=1e-3)
