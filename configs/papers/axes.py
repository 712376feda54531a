"""Every objective, posterior and prior beside the same VAE on MNIST, on one budget.

Command:  python launch.py --experiment=reproduce --config=configs/papers/axes.py
13 epochs, batches of 100, two tanh layers of 200, 20 latent dimensions, dynamic
binarisation. A row changes what it names and nothing else.
"""

from typing import Any

from configs import default
from configs.papers import vae

OBJECTIVES: dict[str, dict[str, Any]] = {
    "ELBO": {"name": "elbo"},
    "beta-VAE, beta = 4": {"name": "beta_vae", "beta": 4.0},
    "linear warm-up, 2,600 steps": {
        "name": "beta_vae",
        "growth": "linear",
        "growth_steps": 2_600.0,
    },
    "capacity, C = 25": {
        "name": "capacity",
        "gamma": 10.0,
        "growth": "linear",
        "growth_steps": 5_000.0,
    },
    "free bits, .1 per dimension": {"name": "free_bits"},
    "free bits, 20 per group": {"name": "free_bits_per_group", "free_nats": 20.0},
    "GECO, distortion 80": {"name": "geco"},
    "IWAE, k = 5": {"name": "iwae", "num_samples": 5},
    "MIWAE, 2 bounds of 5": {"name": "miwae", "num_samples": 10, "num_bounds": 2},
    "CIWAE, k = 5, half": {"name": "ciwae", "num_samples": 5},
    "PIWAE, 10 and 2 of 5": {"name": "piwae", "num_samples": 10, "num_bounds": 2},
    "DReG, k = 5": {"name": "dreg", "num_samples": 5},
    "sticking the landing": {"name": "sticking_the_landing"},
    "beta-TCVAE, weighted, beta = 4": {"name": "beta_tcvae", "beta": 4.0},
    "beta-TCVAE, stratified, beta = 4": {
        "name": "beta_tcvae",
        "beta": 4.0,
        "estimator": "stratified",
    },
    "FactorVAE, 10, discriminator 3 x 256": {
        "name": "factor_vae",
        "discriminator_widths": (256,) * 3,
    },
    "DIP-VAE-I, 10 and 100": {"name": "dip_vae_i"},
    "DIP-VAE-II, 10 and 10": {"name": "dip_vae_ii", "lambda_d": 10.0},
    "InfoVAE, alpha = 0, lambda = 100": {"name": "info_vae"},
    "WAE-MMD, lambda = 100": {"name": "wae_mmd"},
}
POSTERIORS: dict[str, dict[str, Any]] = {
    "full Gaussian": {"posterior.name": "full_gaussian"},
    "planar flow, 8 layers": {
        "posterior.name": "planar_flow",
        "posterior.num_layers": 8,
    },
    "IAF, 2 layers": {"posterior.name": "iaf"},
    "coupling flow, 4 layers": {
        "posterior.name": "coupling_flow",
        "posterior.num_layers": 4,
    },
    "von Mises-Fisher, 20 dimensions": {
        "posterior.name": "von_mises_fisher",
        "prior.name": "uniform_on_sphere",
    },
    "relaxed categorical, 20 x 10": {
        "posterior.name": "relaxed_categorical",
        "prior.name": "uniform_codes",
    },
    "vector-quantised, 20 of 64": {
        "posterior.name": "vector_quantized",
        "posterior.num_classes": 64,
        "prior.name": "uniform_codes",
    },
}
PRIORS: dict[str, dict[str, Any]] = {
    "mixture of 500 Gaussians": {"prior.name": "gaussian_mixture"},
    "VampPrior, 500": {"prior.name": "vamp"},
    "RealNVP, 4 layers": {"prior.name": "realnvp"},
    "conditional Gaussian (given the label)": {
        "condition": "label",
        "prior.name": "conditional_gaussian",
    },
    "relaxed categorical, autoregressive prior": {
        "posterior.name": "relaxed_categorical",
        "prior.name": "autoregressive_codes",
    },
    "vector-quantised, autoregressive prior": {
        "posterior.name": "vector_quantized",
        "posterior.num_classes": 64,
        "prior.name": "autoregressive_codes",
    },
}


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (200, 200)
    config.runtime.checkpoint_every = 0
    return config


def table() -> dict[str, Any]:
    rows = []
    for group, choices, prefix in (
        ("objective", OBJECTIVES, "objective"),
        ("posterior", POSTERIORS, "model"),
        ("prior", PRIORS, "model"),
    ):
        for name, fields in choices.items():
            overrides = {f"{prefix}.{field}": value for field, value in fields.items()}
            if overrides.get("model.posterior.name") == "vector_quantized":
                overrides["objective.name"] = "vq_vae"
            rows.append({"name": name, "group": group, "overrides": overrides})
    return {"seeds": (0, 1), "rows": rows}
