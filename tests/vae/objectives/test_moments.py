import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import MultivariateNormal

from tests.helpers import linear_gaussian as exact
from vae.objectives import moments
from vae.types import Unsupported

INFERENCE, TERMS, MOMENT = exact.inferred(16, posterior_shift=0.3)


@pytest.mark.parametrize("of_codes", [False, True])
def test_dip_asks_for_an_identity_covariance(of_codes: bool) -> None:
    (group,) = INFERENCE.groups
    covariance = np.cov(group.posterior.mean.T, ddof=0)
    if of_codes:
        covariance += np.diag(group.posterior.variance.mean(0))
    expected = 7 * ((np.diag(covariance) - 1) ** 2).sum() + 5 * (
        2 * covariance[0, 1] ** 2
    )
    got, _ = moments.dip_vae(
        INFERENCE, TERMS, MOMENT, of_codes=of_codes, lambda_od=5.0, lambda_d=7.0
    )
    np.testing.assert_allclose(got - TERMS.rate.mean(), expected, rtol=1e-4)


def test_other_posteriors_are_refused() -> None:
    (group,) = INFERENCE.groups
    full = MultivariateNormal(group.posterior.mean, jnp.eye(2))
    inference = INFERENCE._replace(groups=(group._replace(posterior=full),))
    with pytest.raises(Unsupported, match="^needs the posterior's mean and variance"):
        jax.eval_shape(lambda: moments.dip_vae(inference, TERMS, MOMENT, of_codes=True))
