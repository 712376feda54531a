"""Parts of a model declare the fields of the configuration that they read."""

from collections.abc import Callable
from typing import Any

import pytest

from configs import default
from vae import fields
from vae.models import likelihoods, posteriors, priors

FLOW = {"num_layers", "widths", "scale"}
FIELDS = {
    "posterior": {
        posteriors.DiagonalGaussian: {"scale"},
        posteriors.FullGaussian: set(),
        posteriors.planar_flow: {"num_layers", "scale"},
        posteriors.iaf: FLOW,
        posteriors.coupling_flow: FLOW,
        posteriors.VonMisesFisher: set(),
        posteriors.RelaxedCategorical: {"num_classes", "temperature"},
        posteriors.VectorQuantized: {"num_classes", "embedding_dim"},
    },
    "prior": {
        priors.StandardNormal: set(),
        priors.ConditionalGaussian: set(),
        priors.GaussianMixture: {"num_components"},
        priors.vamp: {"num_components"},
        priors.realnvp: {"num_layers", "widths"},
        priors.UniformOnSphere: set(),
        priors.uniform_codes: set(),
        priors.autoregressive_codes: {"widths"},
    },
    "likelihood": {
        likelihoods.Bernoulli: set(),
        likelihoods.Gaussian: {"scale"},
        likelihoods.GaussianShared: set(),
        likelihoods.MixtureOfDiscretizedLogistics: {"num_components"},
    },
}
CASES = [(group, entry) for group, entries in FIELDS.items() for entry in entries]


@pytest.mark.parametrize(("group", "entry"), CASES)
def test_fields_and_defaults(group: str, entry: Callable[..., Any]) -> None:
    found = fields.fields_of(entry)
    assert found.keys() == FIELDS[group][entry]
    config = default.get_config().model[group]
    for name, (_, field, value) in found.items():
        written = config[name]
        assert value == (written if field.menu is None else field.menu[written])
