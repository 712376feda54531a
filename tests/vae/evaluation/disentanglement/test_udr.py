import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.udr import agreement, udr_lasso, udr_spearman
from vae.types import Unsupported

SOURCE = grids.grid(5, 4, 6)
ALIGNED = grids.whole_sample(grids.aligned(SOURCE), SOURCE).codes
ROTATED = ALIGNED @ grids.rotation(3)
INFORMATIVE = np.ones((4, 3))


def like_aligned() -> list[np.ndarray]:
    """Codes that differ in the order, sign and scale of their dimensions."""
    return [ALIGNED, -ALIGNED[:, [2, 0, 1]], ALIGNED * [1, -5, 0.1]]


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [
        (np.eye(3)[[2, 0, 1]], 1.0),
        (np.ones((3, 3)), 1 / 3),
        (np.zeros((2, 3)), 0.0),
        (np.zeros((0, 3)), 0.0),
        # By rows 1 / 1.5 and .25 / .5; by columns 1 / 1 and .25 / 1.
        (np.array([[1.0, 0.5], [0.0, 0.5]]), (2 / 3 + 1 / 2 + 1 + 1 / 4) / 4),
        # Two dimensions for one: each of three counts once.
        (np.array([[1.0], [1.0]]), (1 + 1 + 1 / 2) / 3),
    ],
)
def test_agreement_of_known_similarities(similarity: np.ndarray, expected) -> None:
    assert agreement(similarity) == pytest.approx(expected, abs=1e-12)


def test_models_alike_but_for_order_sign_and_scale_agree() -> None:
    codes = np.stack(like_aligned())
    kl = INFORMATIVE[:3]
    np.testing.assert_allclose(udr_spearman(codes, kl), 1, atol=1e-12)
    # The penalty of .1 shrinks the one weight of 1 to .9, whose square over itself is.
    np.testing.assert_allclose(udr_lasso(codes, kl), 0.9, atol=1e-6)


@pytest.mark.parametrize("udr", [udr_spearman, udr_lasso])
def test_the_rotated_model_has_the_lowest_score(udr) -> None:
    scores = udr(np.stack([*like_aligned(), ROTATED]), INFORMATIVE)
    assert scores[3] < scores[:3].min() - 0.1


def test_only_ranks_count_for_spearman() -> None:
    codes = np.stack([ALIGNED, np.exp(3 * ALIGNED)])
    np.testing.assert_allclose(udr_spearman(codes, INFORMATIVE[:2]), 1, atol=1e-12)
    assert udr_lasso(codes, INFORMATIVE[:2]).max() < 0.8


@pytest.mark.parametrize("udr", [udr_spearman, udr_lasso])
def test_uninformative_dimensions_do_not_count(udr) -> None:
    noise = np.random.default_rng(0).normal(size=(3, len(ALIGNED), 2))
    noise[1] = 0.5  # nor do those that do not vary
    codes = np.concatenate([np.stack(like_aligned()), noise], axis=-1)
    kl = np.concatenate([INFORMATIVE[:3], np.full((3, 2), 0.009)], axis=-1)
    expected = udr(codes[..., :3], kl[:, :3])
    np.testing.assert_allclose(udr(codes, kl), expected, atol=1e-12)
    kl[:, 3:] = 0.011
    assert (udr(codes, kl) < expected - 0.05).all()


@pytest.mark.parametrize("udr", [udr_spearman, udr_lasso])
def test_a_score_is_the_median_over_other_models(udr) -> None:
    """One model of two others without information changes none of the medians."""
    codes = np.stack([ALIGNED, ALIGNED, ALIGNED, ALIGNED])
    kl = INFORMATIVE.copy()
    kl[3] = 0
    scores = udr(codes, kl)
    np.testing.assert_allclose(scores[:3], udr(codes[:3], kl[:3]), atol=1e-12)
    assert scores[3] == 0


def test_a_single_model_is_refused() -> None:
    with pytest.raises(Unsupported, match="two models or more"):
        udr_spearman(ALIGNED[None], INFORMATIVE[:1])
