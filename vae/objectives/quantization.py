"""The penalty of vector quantisation."""

import jax

from vae.distributions.categorical import Quantized
from vae.fields import Weight
from vae.objectives.base import Moment
from vae.types import ElboTerms, Inference, Metrics, Unsupported


def vq_vae(
    inference: Inference, terms: ElboTerms, moment: Moment, *, commitment: Weight = 0.25
) -> tuple[jax.Array, Metrics]:
    """rate + commitment * |encoding - chosen vector|^2.

    The rate is -log p(codes), which trains a learned prior only; the codebook follows
    by its moving averages.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, eq. 3.

    Raises:
      Unsupported: the posterior is not quantised.
    """
    del moment
    value = terms.rate.mean()
    for group in inference.groups:
        if not isinstance(group.posterior, Quantized):
            raise Unsupported("needs a quantised posterior")
        value += commitment * group.posterior.commitment().mean()
    return value, {}
