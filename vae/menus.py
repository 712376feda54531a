"""The menus: what each name in a configuration stands for.

They are plain dictionaries; a new method is one more line in one of them (posteriors
and priors also say in `compatibility.py` where their codes live). An entry is called
with its group of the configuration and with what it may be built from.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optax
from flax import linen as nn

from vae.models import likelihoods, posteriors, priors
from vae.models.base import Model
from vae.models.vae import VAE
from vae.nn import decoders, encoders, flows
from vae.nn.layers import Initializer
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
from vae.types import Objective, one_of

Group = Any  # a group of the configuration


class Parts(NamedTuple):
    """What posteriors and priors may be built from."""

    latent_dim: int
    dtype: Any  # of the layers
    density_dtype: Any  # of densities, at least float32
    encoder: nn.Module
    examples: Callable[[int], np.ndarray]  # so many training images, scaled
    posterior: Any = None  # the module, for the prior


class Task(NamedTuple):
    """What an objective may be built from."""

    model: Model
    code_dim: int  # how many numbers a latent code has
    dataset_size: int
    growth: schedules.Growth  # of beta, or of the capacity
    axis_name: str | None  # of the devices of a `pmap`


ACTIVATIONS = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
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
LAYER_FIELDS = {  # which of their fields encoders and decoders read
    "mlp": ("widths", "activation"),
    "gated_mlp": ("widths",),
    "conv": ("widths", "activation", "channels", "method"),
    "conv_locatello": ("method",),
    "resnet": ("widths", "activation", "channels", "method", "blocks"),
}
LIKELIHOODS: dict[str, Callable[[Group], Any]] = {
    "bernoulli": lambda c: likelihoods.Bernoulli(),
    "continuous_bernoulli": lambda c: likelihoods.ContinuousBernoulli(),
    "gaussian": lambda c: likelihoods.Gaussian(c.scale),
    "gaussian_shared": lambda c: likelihoods.GaussianShared(),
    "gaussian_optimal": lambda c: likelihoods.GaussianOptimal(),
    "gaussian_per_pixel": lambda c: likelihoods.GaussianPerPixel(),
    "discretized_logistic": lambda c: likelihoods.DiscretizedLogistic(),
    "discretized_logistic_mixture": lambda c: likelihoods.MixtureOfDiscretizedLogistics(
        c.num_components
    ),
    "categorical": lambda c: likelihoods.Categorical256(),
}
MODELS = {"vae": VAE}
INITIALIZERS: dict[str, Initializer | None] = {
    "glorot_uniform": None,  # what all layers have by themselves
    "fan_in_uniform": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    "normal": nn.initializers.normal(0.1),
}


def _flow(flow: type[nn.Module], c: Group, p: Parts) -> flows.Chain:
    """Stacks `c.num_layers` layers of a flow."""
    fields = {"dim": p.latent_dim, "dtype": p.density_dtype}
    if flow is not flows.Planar:
        fields["widths"] = tuple(c.widths)
    return flows.Chain([flow(**fields) for _ in range(c.num_layers)])


def _flow_posterior(flow: type[nn.Module]) -> Callable[[Group, Parts], nn.Module]:
    return lambda c, p: posteriors.FlowPosterior(
        _diagonal_gaussian(c, p), _flow(flow, c, p)
    )


def _diagonal_gaussian(c: Group, p: Parts) -> posteriors.DiagonalGaussian:
    scale = one_of("model.posterior.scale", c.scale, tuple(posteriors.SCALES))
    return posteriors.DiagonalGaussian(p.latent_dim, p.dtype, scale)


POSTERIORS: dict[str, Callable[[Group, Parts], Any]] = {
    "diagonal_gaussian": _diagonal_gaussian,
    "full_gaussian": lambda c, p: posteriors.FullGaussian(p.latent_dim, p.dtype),
    "planar_flow": _flow_posterior(flows.Planar),
    "iaf": _flow_posterior(flows.InverseAutoregressive),
    "coupling_flow": _flow_posterior(flows.Coupling),
    "von_mises_fisher": lambda c, p: posteriors.VonMisesFisher(p.latent_dim, p.dtype),
    "relaxed_categorical": lambda c, p: posteriors.RelaxedCategorical(
        p.latent_dim, c.num_classes, c.temperature, p.dtype
    ),
    "vector_quantized": lambda c, p: posteriors.VectorQuantized(
        p.latent_dim,
        posteriors.Codebook(c.num_classes, c.embedding_dim, p.density_dtype),
        p.dtype,
    ),
}


def _of_codes(prior: type[nn.Module]) -> Callable[[Group, Parts], nn.Module]:
    """A prior of codes, in whichever form the posterior has them."""

    def build(c: Group, p: Parts) -> nn.Module:
        codebook = getattr(p.posterior, "codebook", None)
        classes = (codebook or p.posterior).num_classes
        fields: dict[str, Any] = {"dtype": p.density_dtype}
        if prior is priors.LearnedCodes:
            fields["widths"] = tuple(c.widths)
        codes = prior(p.latent_dim, classes, **fields)
        return codes if codebook is None else priors.Embedded(codes, codebook)

    return build


PRIORS: dict[str, Callable[[Group, Parts], Any]] = {
    "standard_normal": lambda c, p: priors.StandardNormal(
        p.latent_dim, p.density_dtype
    ),
    "conditional_gaussian": lambda c, p: priors.ConditionalGaussian(
        p.latent_dim, p.density_dtype
    ),
    "gaussian_mixture": lambda c, p: priors.GaussianMixture(
        p.latent_dim, c.num_components, p.density_dtype
    ),
    "vamp": lambda c, p: priors.VampPrior(
        p.encoder, p.posterior, lambda: p.examples(c.num_components), p.density_dtype
    ),
    "realnvp": lambda c, p: priors.FlowPrior(
        priors.StandardNormal(p.latent_dim, p.density_dtype),
        _flow(flows.Coupling, c, p),
    ),
    "uniform_on_sphere": lambda c, p: priors.UniformOnSphere(
        p.latent_dim, p.density_dtype
    ),
    "uniform_codes": _of_codes(priors.UniformCodes),
    "autoregressive_codes": _of_codes(priors.LearnedCodes),
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
