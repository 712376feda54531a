"""Variational autoencoders in JAX and Flax Linen. All log-densities are in nats.

Compose a model from an encoder, a posterior, a prior, a decoder and a likelihood, train
it on arrays, or load a finished run:

    model = vae.VAE(
        encoder=vae.MLPEncoder(widths=(256,)),
        posterior=vae.DiagonalGaussian(latent_dim=10),
        prior=vae.StandardNormal(latent_dim=10),
        decoder=vae.MLPDecoder(widths=(256,), event_shape=x.shape[1:]),
        likelihood=vae.Bernoulli(),
    )
    fitted = vae.fit(model, vae.objective("beta_vae", beta=4.0), x, steps=2_000)
    fitted = vae.load("runs/quickstart")
"""

from vae.data.sources import mnist_5k
from vae.fitted import FittedVAE
from vae.fitting import Criterion, fit, objective
from vae.models.counts import (
    Multinomial,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflatedNegativeBinomial,
)
from vae.models.hierarchy import Chain, Generator, Ladder
from vae.models.likelihoods import (
    Bernoulli,
    Categorical256,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    GaussianOptimal,
    GaussianPerPixel,
    GaussianShared,
    MixtureOfDiscretizedLogistics,
)
from vae.models.posteriors import (
    DiagonalGaussian,
    FullGaussian,
    RelaxedCategorical,
    VectorQuantized,
    VonMisesFisher,
    coupling_flow,
    iaf,
    planar_flow,
)
from vae.models.priors import (
    ConditionalGaussian,
    GaussianMixture,
    StandardNormal,
    UniformOnSphere,
    autoregressive_codes,
    realnvp,
    uniform_codes,
    vamp,
)
from vae.models.vae import VAE
from vae.nn.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from vae.nn.decoders import ConvDecoder, MLPDecoder, ResNetDecoder
from vae.nn.encoders import ConvEncoder, MLPEncoder, ResNetEncoder
from vae.nn.layers import MLP
from vae.registry import OBJECTIVES
from vae.saved import load
from vae.training.state import TrainState, create_train_state
from vae.training.step import make_train_step
from vae.types import (
    Batch,
    Codes,
    ElboTerms,
    Estimate,
    Inference,
    Objective,
    UserError,
)

__all__ = [
    "Batch",
    "Bernoulli",
    "Categorical256",
    "Chain",
    "Codes",
    "ConditionalGaussian",
    "ContinuousBernoulli",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNeXtDecoder",
    "ConvNeXtEncoder",
    "Criterion",
    "DiagonalGaussian",
    "DiscretizedLogistic",
    "ElboTerms",
    "Estimate",
    "FittedVAE",
    "FullGaussian",
    "Gaussian",
    "GaussianMixture",
    "GaussianOptimal",
    "GaussianPerPixel",
    "GaussianShared",
    "Generator",
    "Inference",
    "Ladder",
    "MLP",
    "MLPDecoder",
    "MLPEncoder",
    "MixtureOfDiscretizedLogistics",
    "Multinomial",
    "NegativeBinomial",
    "OBJECTIVES",
    "Objective",
    "Poisson",
    "RelaxedCategorical",
    "ResNetDecoder",
    "ResNetEncoder",
    "StandardNormal",
    "StudentT",
    "TrainState",
    "UniformOnSphere",
    "UserError",
    "VAE",
    "VectorQuantized",
    "VonMisesFisher",
    "ZeroInflatedNegativeBinomial",
    "autoregressive_codes",
    "coupling_flow",
    "create_train_state",
    "fit",
    "iaf",
    "load",
    "make_train_step",
    "mnist_5k",
    "objective",
    "planar_flow",
    "realnvp",
    "uniform_codes",
    "vamp",
]
