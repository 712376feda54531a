"""What there is to choose from: each name of the configuration, and its method.

A new method is a function or module, and its line here. Its fields are the parameters
that it annotates (`vae.fields`), and `configs/default.py` shows them all.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp

from vae.bind import Entry, Menu, Method
from vae.models import (
    counts,
    hierarchy,
    likelihoods,
    per_column,
    posteriors,
    priors,
    rgb,
    top_down,
)
from vae.models.vae import VAE
from vae.nn import convnext, decoders, encoders
from vae.nn.top_down import BottomUpEncoder, TopDownDecoder
from vae.objectives import (
    constrained,
    discrepancy,
    elbo,
    importance,
    moments,
    quantization,
    total_correlation,
)
from vae.objectives.base import make_penalized
from vae.training import optimizer


def _one_group(*, parts: dict[str, Any]) -> VAE:
    return VAE(**parts)


MODELS: Menu = {
    "vae": _one_group,
    "chain": hierarchy.chain,
    "ladder": hierarchy.ladder,
    "top_down": Entry(top_down.top_down, is_padded=False),
}
ENCODERS: Menu = {
    "mlp": encoders.MLPEncoder,
    "gated_mlp": encoders.gated_mlp,
    "conv": encoders.ConvEncoder,
    "conv_locatello": encoders.conv_locatello,
    "resnet": encoders.ResNetEncoder,
    "convnext": convnext.ConvNeXtEncoder,
    "bottom_up": BottomUpEncoder,
}
DECODERS: Menu = {
    "mlp": decoders.MLPDecoder,
    "gated_mlp": decoders.gated_mlp,
    "conv": decoders.ConvDecoder,
    "conv_locatello": decoders.conv_locatello,
    "resnet": decoders.ResNetDecoder,
    "convnext": convnext.ConvNeXtDecoder,
    "top_down": TopDownDecoder,
}
POSTERIORS: Menu = {
    "diagonal_gaussian": posteriors.DiagonalGaussian,
    "full_gaussian": posteriors.FullGaussian,
    "planar_flow": posteriors.planar_flow,
    "iaf": posteriors.iaf,
    "coupling_flow": posteriors.coupling_flow,
    "von_mises_fisher": posteriors.VonMisesFisher,
    "relaxed_categorical": posteriors.RelaxedCategorical,
    "vector_quantized": posteriors.VectorQuantized,
}
PRIORS: Menu = {
    "standard_normal": priors.StandardNormal,
    "conditional_gaussian": priors.ConditionalGaussian,
    "gaussian_mixture": priors.GaussianMixture,
    "vamp": priors.vamp,
    "realnvp": priors.realnvp,
    "uniform_on_sphere": priors.UniformOnSphere,
    "uniform_codes": priors.uniform_codes,
    "autoregressive_codes": priors.autoregressive_codes,
}
LIKELIHOODS: Menu = {
    "bernoulli": likelihoods.Bernoulli,
    "continuous_bernoulli": likelihoods.ContinuousBernoulli,
    "gaussian": likelihoods.Gaussian,
    "gaussian_shared": likelihoods.GaussianShared,
    "gaussian_optimal": likelihoods.GaussianOptimal,
    "gaussian_per_pixel": likelihoods.GaussianPerPixel,
    "discretized_logistic": likelihoods.DiscretizedLogistic,
    "discretized_logistic_mixture": likelihoods.MixtureOfDiscretizedLogistics,
    "discretized_logistic_mixture_rgb": rgb.MixtureOfDiscretizedLogisticsRGB,
    "categorical": likelihoods.Categorical256,
    "poisson": counts.Poisson,
    "negative_binomial": counts.NegativeBinomial,
    "zero_inflated_negative_binomial": counts.ZeroInflatedNegativeBinomial,
    "multinomial": counts.Multinomial,
    "student_t": counts.StudentT,
    "per_column": per_column.per_column,
}


def _penalty(method: Method, **facts: Any) -> Entry:
    return Entry(make_penalized, {"penalty": method}, **facts)


def _bound(method: Method) -> Entry:
    return Entry(importance.make_importance_weighted, {"bound": method})


def _two_sided(inferential: Method) -> Entry:
    parts = {"generative": importance.iwae, "inferential": inferential}
    return Entry(importance.make_two_sided, parts)


OBJECTIVES: Menu = {
    "elbo": _penalty(elbo.elbo),
    "beta_vae": _penalty(elbo.beta_vae),
    "capacity": _penalty(elbo.capacity),
    "free_bits": _penalty(elbo.free_bits_per_dimension),
    "free_bits_per_group": _penalty(elbo.free_bits_per_group),
    "geco": Entry(
        constrained.make_geco,
        {"lagrangian": constrained.geco},
        optimizer=optimizer.multiplier_optimizer,
    ),
    "iwae": _bound(importance.iwae),
    "miwae": _bound(importance.miwae),
    "ciwae": _bound(importance.ciwae),
    "renyi": _bound(importance.renyi),
    "piwae": _two_sided(importance.miwae),
    "dreg": _two_sided(importance.dreg),
    "sticking_the_landing": _bound(importance.sticking_the_landing),
    "beta_tcvae": _penalty(total_correlation.beta_tcvae, couples=True),
    "factor_vae": Entry(
        total_correlation.make_factor_vae,
        {"criterion": total_correlation.factor_vae},
        couples=True,
        optimizer=optimizer.discriminator_optimizer,
    ),
    "dip_vae_i": _penalty(partial(moments.dip_vae, of_codes=False), couples=True),
    "dip_vae_ii": _penalty(partial(moments.dip_vae, of_codes=True), couples=True),
    "info_vae": _penalty(
        discrepancy.info_vae, couples=True, mismatch=discrepancy.info_vae_mismatch
    ),
    "wae_mmd": _penalty(discrepancy.wae_mmd, couples=True),
    "vq_vae": _penalty(quantization.vq_vae),
}
OPTIMIZERS: Menu = {
    "adam": optimizer.scale_by_adam,
    "adamax": optimizer.scale_by_adamax,
    "adagrad": optimizer.scale_by_adagrad,
    "rmsprop": optimizer.scale_by_rms,
    "centered_rmsprop": optimizer.scale_by_centered_rms,
    "sgd": optimizer.momentum,
}
SCHEDULES: Menu = {
    "constant": optimizer.constant,
    "cosine": optimizer.cosine,
    "iwae": optimizer.iwae,
}
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}

# The groups of the configuration whose `name` chooses.
MENUS: dict[str, Menu] = {
    "model": MODELS,
    "model.encoder": ENCODERS,
    "model.decoder": DECODERS,
    "model.posterior": POSTERIORS,
    "model.prior": PRIORS,
    "model.likelihood": LIKELIHOODS,
    "objective": OBJECTIVES,
    "optimizer": OPTIMIZERS,
    "optimizer.schedule": SCHEDULES,
}
