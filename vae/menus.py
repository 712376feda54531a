"""The menus: what each name in a configuration stands for.

They are plain dictionaries; a new method is one more line in one of them (posteriors
and priors also say in `compatibility.py` where their codes live). An entry is called
with its group of the configuration and with what it may be built from.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from flax import linen as nn

from vae.models import likelihoods, posteriors, priors
from vae.models.base import Likelihood, Model, Posterior, Prior
from vae.models.vae import VAE
from vae.nn import decoders, encoders
from vae.objectives import (
    constrained,
    discrepancy,
    elbo,
    importance,
    moments,
    quantization,
    schedules,
    total_correlation,
)
from vae.training import optimizer
from vae.types import Objective

Group = Any  # a group of the configuration


class Task(NamedTuple):
    """What an objective may be built from."""

    model: Model
    code_dim: int  # how many numbers a latent code has
    dataset_size: int
    growth: schedules.Growth  # of beta, or of the capacity
    axis_name: str | None  # of the devices of a `pmap`


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": encoders.MLPEncoder,
    "gated_mlp": encoders.gated_mlp,
    "conv": encoders.ConvEncoder,
    "conv_locatello": encoders.conv_locatello,
    "resnet": encoders.ResNetEncoder,
}
DECODERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": decoders.MLPDecoder,
    "gated_mlp": decoders.gated_mlp,
    "conv": decoders.ConvDecoder,
    "conv_locatello": decoders.conv_locatello,
    "resnet": decoders.ResNetDecoder,
}
LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "bernoulli": likelihoods.Bernoulli,
    "continuous_bernoulli": likelihoods.ContinuousBernoulli,
    "gaussian": likelihoods.Gaussian,
    "gaussian_shared": likelihoods.GaussianShared,
    "gaussian_optimal": likelihoods.GaussianOptimal,
    "gaussian_per_pixel": likelihoods.GaussianPerPixel,
    "discretized_logistic": likelihoods.DiscretizedLogistic,
    "discretized_logistic_mixture": likelihoods.MixtureOfDiscretizedLogistics,
    "categorical": likelihoods.Categorical256,
}
MODELS = {"vae": VAE}
POSTERIORS: dict[str, Callable[..., Posterior]] = {
    "diagonal_gaussian": posteriors.DiagonalGaussian,
    "full_gaussian": posteriors.FullGaussian,
    "planar_flow": posteriors.planar_flow,
    "iaf": posteriors.iaf,
    "coupling_flow": posteriors.coupling_flow,
    "von_mises_fisher": posteriors.VonMisesFisher,
    "relaxed_categorical": posteriors.RelaxedCategorical,
    "vector_quantized": posteriors.VectorQuantized,
}
PRIORS: dict[str, Callable[..., Prior]] = {
    "standard_normal": priors.StandardNormal,
    "conditional_gaussian": priors.ConditionalGaussian,
    "gaussian_mixture": priors.GaussianMixture,
    "vamp": priors.vamp,
    "realnvp": priors.realnvp,
    "uniform_on_sphere": priors.UniformOnSphere,
    "uniform_codes": priors.uniform_codes,
    "autoregressive_codes": priors.autoregressive_codes,
}
GROWTHS = {
    "constant": schedules.constant,
    "linear": schedules.linear,
    "sigmoid": schedules.sigmoid,
    "cyclical": schedules.cyclical,
}
ESTIMATORS = {
    "weighted": total_correlation.minibatch_weighted,
    "stratified": total_correlation.minibatch_stratified,
}
KERNELS = {"rbf": discrepancy.rbf, "imq": discrepancy.inverse_multiquadratic}

Entry = Callable[[Group, Task], Objective]


def _penalized(penalty: Callable[[Group, Task], elbo.Penalty]) -> Entry:
    return lambda c, t: elbo.make_penalized(
        t.model, penalty(c, t), num_samples=c.num_samples
    )


def _weighted(bound: Callable[[Group], importance.Bound]) -> Entry:
    return lambda c, t: importance.make_importance_weighted(
        t.model, bound(c), num_samples=c.num_samples
    )


def _two_sided(inferential: Callable[[Group], importance.Bound]) -> Entry:
    return lambda c, t: importance.make_two_sided(
        t.model, importance.iwae, inferential(c), num_samples=c.num_samples
    )


OBJECTIVES: dict[str, Entry] = {
    "elbo": _penalized(lambda c, t: elbo.beta_vae(schedules.constant)),
    "beta_vae": _penalized(lambda c, t: elbo.beta_vae(t.growth)),
    "capacity": _penalized(lambda c, t: elbo.capacity(t.growth, t.axis_name)),
    "free_bits": _penalized(
        lambda c, t: elbo.free_bits_per_dimension(t.growth, t.axis_name)
    ),
    "free_bits_per_group": _penalized(
        lambda c, t: elbo.free_bits_per_group(t.growth, t.axis_name)
    ),
    "geco": lambda c, t: constrained.make_geco(t.model, num_samples=c.num_samples),
    "iwae": _weighted(lambda c: importance.iwae),
    "miwae": _weighted(lambda c: importance.miwae(c.num_bounds)),
    "ciwae": _weighted(lambda c: importance.ciwae),
    "piwae": _two_sided(lambda c: importance.miwae(c.num_bounds)),
    "dreg": _two_sided(lambda c: importance.dreg),
    "sticking_the_landing": _weighted(lambda c: importance.sticking_the_landing),
    "beta_tcvae": _penalized(
        lambda c, t: total_correlation.beta_tcvae(
            ESTIMATORS[c.estimator], t.dataset_size, t.axis_name
        )
    ),
    "factor_vae": lambda c, t: total_correlation.make_factor_vae(
        t.model,
        code_dim=t.code_dim,
        widths=c.discriminator_widths,
        num_samples=c.num_samples,
        axis_name=t.axis_name,
    ),
    "dip_vae_i": _penalized(
        lambda c, t: moments.dip_vae(of_codes=False, axis_name=t.axis_name)
    ),
    "dip_vae_ii": _penalized(
        lambda c, t: moments.dip_vae(of_codes=True, axis_name=t.axis_name)
    ),
    "info_vae": _penalized(
        lambda c, t: discrepancy.info_vae(KERNELS[c.kernel], t.axis_name)
    ),
    "wae_mmd": _penalized(
        lambda c, t: discrepancy.wae_mmd(KERNELS[c.kernel], t.axis_name)
    ),
    "vq_vae": _penalized(lambda c, t: quantization.vq_vae()),
}
OPTIMIZERS: dict[str, Callable[[Group], optax.GradientTransformation]] = {
    "adam": lambda c: optimizer.scale_by_adam(c.b1, c.b2, c.eps),
    "adagrad": lambda c: optax.scale_by_rss(0.0, c.eps),
    "rmsprop": lambda c: optax.scale_by_rms(c.b2, c.eps, eps_in_sqrt=False),
    "centered_rmsprop": lambda c: optimizer.scale_by_centered_rms(c.b2, c.eps),
    "sgd": lambda c: optax.trace(c.b1),
}
# How objectives with parameters of their own train them.
OBJECTIVE_OPTIMIZERS = {
    "factor_vae": lambda: optimizer.make_optimizer(
        optimizer.scale_by_adam(0.5, 0.9),  # Kim & Mnih 2018, appendix A
        optimizer.constant(),
        rate_name="discriminator_learning_rate",
    ),
    "geco": lambda: optimizer.make_optimizer(
        optax.identity(), optimizer.constant(), rate_name="multiplier_learning_rate"
    ),
}
SCHEDULES: dict[str, Callable[[int, int], optimizer.Schedule]] = {
    "constant": lambda steps, steps_per_epoch: optimizer.constant(),
    "cosine": lambda steps, steps_per_epoch: optimizer.cosine(steps),
    "iwae": lambda steps, steps_per_epoch: optimizer.iwae(steps_per_epoch),
}
SCHEDULES_TO_THE_END = ("cosine",)  # these depend on the number of steps
