"""The objective of vector quantisation."""

from vae.distributions.categorical import Quantized
from vae.objectives.elbo import Penalty
from vae.types import UserError


def vq_vae() -> Penalty:
    """rate + commitment * |encoding - chosen vector|^2.

    The rate is -log p(codes), which trains a learned prior only; the codebook follows
    by its moving averages.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, eq. 3.

    Raises:
      UserError: the posterior is not quantised.
    """

    def penalty(inference, terms, moment):
        value = terms.rate.mean()
        for group in inference.groups:
            if not isinstance(group.posterior, Quantized):
                raise UserError(
                    "objective.name=vq_vae needs model.posterior.name=vector_quantized"
                )
            commitment = group.posterior.commitment().mean()
            value += moment.hparams["commitment"] * commitment
        return value, {}

    return penalty
