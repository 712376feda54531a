import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.distributions.pixels import ByteLogistic, ByteLogisticMixture
from vae.models.rgb import MixtureOfDiscretizedLogisticsRGB
from vae.types import Unsupported

OWN = MixtureOfDiscretizedLogisticsRGB(2)


def test_it_starts_at_the_mean_image_with_independent_channels() -> None:
    mean = np.array([[[0.0, 0.25, 1.0], [0.5, 0.7, 0.3]]])
    features = OWN.features_of_mean(mean)
    assert features.shape == (1, 2, OWN.num_features(3)) == (1, 2, 20)
    found = OWN.apply({}, jnp.asarray(features, jnp.float32), event_dim=3)
    assert (found.batch_shape, found.event_shape) == ((), (1, 2, 3))
    np.testing.assert_allclose(found.mean, mean, atol=2e-3)
    own = found.parameters
    assert not own.coefficients.any() and (own.loc[:, 0] < own.loc[:, 1]).all()


def test_without_coefficients_channels_share_components_only() -> None:
    """Of one component they are independent logistics."""
    own = MixtureOfDiscretizedLogisticsRGB(1)
    features = jax.random.normal(jax.random.key(0), (5, 2, 3, 10)).at[..., 7:].set(0)
    found = own.apply({}, features, event_dim=3)
    x = jnp.round(jax.random.uniform(jax.random.key(1), (5, 2, 3, 3)) * 255) / 255
    parts = [
        ByteLogisticMixture(
            found.parameters.logits,
            ByteLogistic(found.parameters.loc[:, c], found.parameters.log_scale[:, c]),
        ).log_prob(x[..., c].reshape(5, -1))
        for c in range(3)
    ]
    expected = np.sum(parts, 0).sum(-1)
    np.testing.assert_allclose(found.log_prob(x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: OWN.num_features(1), "needs images of 3 channels.* have 1"),
        (lambda: OWN.apply({}, jnp.ones((2, 20)), event_dim=1), "needs images, and"),
        (lambda: OWN.apply({}, jnp.ones((2, 2, 9)), event_dim=3), "needs 20 features"),
    ],
)
def test_other_data_are_refused(run, message: str) -> None:
    with pytest.raises(Unsupported, match=message) as error:
        run()
    assert error.value.part == "likelihood"
    assert OWN.needs_all_values
