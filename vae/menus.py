"""The menus: what each name in a configuration stands for.

They are plain dictionaries; a new method is one more line in one of them (posteriors
and priors also say in `compatibility.py` where their codes live). An entry is called
with its group of the configuration and with what it may be built from.
"""

import functools
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
    base,
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
from vae.types import Objective, Unsupported, UserError, one_of

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
    growth: Callable[..., Any]  # of beta, or of the capacity
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
GROWTHS = schedules.ANNEALINGS
ESTIMATORS, KERNELS = total_correlation.ESTIMATORS, discrepancy.KERNELS

Entry = Callable[[Group, Task], Objective]


def _worded(make: Entry) -> Entry:
    """Gives the configuration's names to fields and refusals."""

    def build(c: Group, t: Task) -> Objective:
        objective = make(c, t)

        def loss(params, batch, key, hparams, step):
            hparams = {**hparams, "annealing_steps": hparams["growth_steps"]}
            try:
                return objective.loss(params, batch, key, hparams, step)
            except Unsupported as error:
                raise UserError(f"objective.name={c.name} {error}") from error

        return Objective(objective.init, loss)

    return build


def _penalized(penalty: base.Penalty, fields: Any = lambda c, t: {}) -> Entry:
    def make(c: Group, t: Task) -> Objective:
        bound = functools.partial(penalty, **fields(c, t))
        return base.make_penalized(
            t.model, bound, num_samples=c.num_samples, axis_name=t.axis_name
        )

    return _worded(make)


def _weighted(bound: Callable[[Group], importance.Bound]) -> Entry:
    make = importance.make_importance_weighted
    return _worded(lambda c, t: make(t.model, bound(c), num_samples=c.num_samples))


def _two_sided(inferential: Callable[[Group], importance.Bound]) -> Entry:
    make, iwae = importance.make_two_sided, importance.iwae
    return _worded(
        lambda c, t: make(t.model, iwae, inferential(c), num_samples=c.num_samples)
    )


def _annealed(penalty: base.Penalty) -> Entry:
    return _penalized(penalty, lambda c, t: {"annealing": t.growth})


def _with_kernel(penalty: base.Penalty) -> Entry:
    return _penalized(penalty, lambda c, t: {"kernel": KERNELS[c.kernel]})


def _miwae(c: Group) -> importance.Bound:
    return functools.partial(importance.miwae, num_bounds=c.num_bounds)


OBJECTIVES: dict[str, Entry] = {
    "elbo": _penalized(elbo.elbo),
    "beta_vae": _annealed(elbo.beta_vae),
    "capacity": _annealed(elbo.capacity),
    "free_bits": _annealed(elbo.free_bits_per_dimension),
    "free_bits_per_group": _annealed(elbo.free_bits_per_group),
    "geco": _worded(
        lambda c, t: constrained.make_geco(
            t.model, constrained.geco, num_samples=c.num_samples
        )
    ),
    "iwae": _weighted(lambda c: importance.iwae),
    "miwae": _weighted(_miwae),
    "ciwae": _weighted(lambda c: importance.ciwae),
    "piwae": _two_sided(_miwae),
    "dreg": _two_sided(lambda c: importance.dreg),
    "sticking_the_landing": _weighted(lambda c: importance.sticking_the_landing),
    "beta_tcvae": _penalized(
        total_correlation.beta_tcvae,
        lambda c, t: {
            "estimator": ESTIMATORS[c.estimator],
            "dataset_size": t.dataset_size,
        },
    ),
    "factor_vae": _worded(
        lambda c, t: total_correlation.make_factor_vae(
            t.model,
            total_correlation.factor_vae,
            code_dim=t.code_dim,
            discriminator_widths=c.discriminator_widths,
            num_samples=c.num_samples,
            axis_name=t.axis_name,
        )
    ),
    "dip_vae_i": _penalized(moments.dip_vae, lambda c, t: {"of_codes": False}),
    "dip_vae_ii": _penalized(moments.dip_vae, lambda c, t: {"of_codes": True}),
    "info_vae": _with_kernel(discrepancy.info_vae),
    "wae_mmd": _with_kernel(discrepancy.wae_mmd),
    "vq_vae": _penalized(quantization.vq_vae),
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
    "factor_vae": optimizer.discriminator_optimizer,
    "geco": optimizer.multiplier_optimizer,
}
SCHEDULES: dict[str, Callable[[int, int], optimizer.Schedule]] = {
    "constant": lambda steps, steps_per_epoch: optimizer.constant(),
    "cosine": lambda steps, steps_per_epoch: optimizer.cosine(steps),
    "iwae": lambda steps, steps_per_epoch: optimizer.iwae(steps_per_epoch),
}
SCHEDULES_TO_THE_END = ("cosine",)  # these depend on the number of steps
