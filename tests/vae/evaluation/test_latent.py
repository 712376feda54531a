from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.trained import untrained
from vae.evaluation import bounds, latent
from vae.evaluation.bounds import evaluate_split
from vae.evaluation.latent import active_units, variance_of_means


def test_active_units_counts_means_that_vary() -> None:
    variances = np.array([1.0, 0.02, 0.0, 0.009])
    means = np.random.default_rng(0).normal(size=(4000, 4)) * np.sqrt(variances)
    variance, error = variance_of_means(means, np.zeros_like(means))
    assert active_units(variance, error) == 2 and not error.any()


def test_noise_of_few_samples_makes_no_unit_active() -> None:
    """Of codes with variance 1, and 50 dimensions whose means do not vary."""
    random, count, samples = np.random.default_rng(0), 1000, 2
    true = np.zeros(51)
    true[-1] = 1.0
    means = random.normal(size=(count, 51)) * np.sqrt(true)
    codes = means + random.normal(size=(samples, count, 51))
    found = variance_of_means(codes.mean(0), codes.var(0) / (samples - 1))
    variance, error = found
    assert (variance > 0.01).sum() > 10  # by noise
    np.testing.assert_array_less(np.abs(variance - true), 4 * error)
    assert active_units(*found) == 1


@pytest.mark.slow
def test_a_flow_that_ignores_the_image_has_no_active_units(small_config) -> None:
    """Its means are known from 20 samples only, whose noise alone has variance .05."""
    small_config.model.posterior.name = "planar_flow"

    def blind(params: Any) -> Any:
        return {**params, "encoder": jax.tree.map(jnp.zeros_like, params["encoder"])}

    trained = untrained(small_config, blind)
    test = trained.subject.dataset.test

    def results(samples: int) -> dict[str, Any]:
        return evaluate_split(trained, test, name="test", num_samples=samples)

    assert results(20)["latent/active_units"] == 0
    assert "latent/active_units" not in results(1)


@pytest.mark.slow
def test_an_untrained_latent_space_is_described(small_config) -> None:
    """Codes tell at most the rate of the image, and of 500 images log 500 nats; what is
    no information of the rate is distance from the prior."""
    trained = untrained(small_config)
    before = bounds.run(trained, importance_samples=3)
    found = latent.run(trained._replace(results=before))
    assert len(found["latent/decoder_sensitivity"]) == 4
    limit = found["latent/information_limit_nats"]
    np.testing.assert_allclose(limit, np.log(500))
    information = found["latent/mutual_information_nats"]
    assert 0 <= information <= limit
    rate = information + found["latent/marginal_kl_nats"]
    # Estimated by one code an image, of a standard deviation below 2 nats.
    np.testing.assert_allclose(rate, before["test/rate_nats"], atol=5 * 2 / 500**0.5)


@pytest.mark.slow
def test_the_verdict_rests_on_many_codes_of_large_images_too(
    small_config, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, found = untrained(small_config), []
    before = bounds.run(trained, importance_samples=3)
    judge = latent.judge_groups

    def note(
        rates: Any, means: Any, codes: np.ndarray, *rest: Any, **named: Any
    ) -> Any:
        found.append(codes)
        return judge(rates, means, codes, *rest, **named)

    monkeypatch.setattr(latent, "judge_groups", note)
    for pixels in (latent.MOST_PIXELS, 3 * 28 * 28):
        monkeypatch.setattr(latent, "MOST_PIXELS", pixels)
        results = latent.run(trained._replace(results=before))
    assert results["latent/information_limit_nats"] == pytest.approx(np.log(3))
    assert found[0].shape == (4,)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


def test_discrete_codes_are_counted(small_config) -> None:
    model = small_config.model
    model.posterior.name, model.prior.name = "relaxed_categorical", "uniform_codes"
    model.posterior.num_classes = 5
    trained = untrained(small_config)
    params = jax.tree.map(jnp.zeros_like, trained.variables["params"])
    found = latent.run(trained._replace(variables={"params": params}))
    # Without parameters all classes are alike, and the first is the code.
    assert found["latent/codes_used"] == found["latent/code_perplexity"] == 1
    assert "collapsed: 1 of 5 codes" in found["collapse"]


def test_codes_of_many_dimensions_have_no_verdict(
    small_config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent, "MOST_DIMENSIONS", 3)
    found = latent.run(untrained(small_config))
    assert found == {
        "collapse": "unknown: a code has 4 dimensions, and up to 3 are looked at one "
        "by one"
    }
