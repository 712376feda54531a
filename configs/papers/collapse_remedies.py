"""Two models whose codes collapse, and what the remedies make of them, on MNIST.

Command:  python launch.py --experiment=reproduce \\
              --config=configs/papers/collapse_remedies.py
"Wide noise": Gaussian pixels whose standard deviation, 3, is more than any direction of
the data has, so that the ELBO itself is best without codes (Lucas et al. 2019, arXiv
1911.02469). "Deep decoder": eight tanh layers behind binary pixels, where training
leaves units out that the ELBO would pay for. 10 epochs, 20 latent dimensions.
Expected: of the deep decoder 108.2 nats and 6.5 active units as it is, 99.8 and 12.5
with linear warm-up; experiments/results/collapse_remedies/table.md
"""

from typing import Any

from configs import default
from configs.papers import vae

GROWTHS = {
    "linear warm-up": {"annealing": "linear", "annealing_steps": 3_000.0},
    "cyclical warm-up": {"annealing": "cyclical", "annealing_steps": 1_500.0},
    "free bits, .5 per dimension": {"name": "free_bits", "free_nats": 0.5},
}
NOTES = """With wide noise, the ELBO is highest if the codes are not used. Annealing
beta to 1 then ends in the same collapse. Free bits and a lower beta give active units,
but a worse likelihood. Only a learned variance helps. In the deep decoder, training
loses units that would raise the ELBO. There, every remedy brings units back and lowers
the NLL, and linear warm-up almost makes up for the depth."""
WIDE_NOISE = {
    "dataset.binarize": "none",
    "model.likelihood.name": "gaussian",
    "model.likelihood.scale": 3.0,
}
DEEP_DECODER = {"model.decoder.widths": (200,) * 8}


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config()
    config.objective.name = "beta_vae"
    config.model.latent_dim = 20
    config.model.encoder.widths = config.model.decoder.widths = (200, 200)
    config.model.encoder.activation = config.model.decoder.activation = "tanh"
    config.dataset.batch_size = 100
    config.train.steps = 6_000
    config.runtime.checkpoint_every = 3_000
    config.evaluate.bounds.importance_samples = 100
    return default.finish(config, mode)


def table() -> dict[str, Any]:
    remedies = {
        "as it is": {},
        **{
            title: {f"objective.{field}": value for field, value in changes.items()}
            for title, changes in GROWTHS.items()
        },
    }
    learned = {
        "model.likelihood.name": "gaussian_optimal",
        "model.likelihood.scale": 0.1,  # the default: nothing reads it
    }
    groups = {
        "wide noise": (
            WIDE_NOISE,
            remedies
            | {"beta = .01": {"objective.beta": 0.01}, "learned variance": learned},
        ),
        "deep decoder": (
            DEEP_DECODER,
            remedies
            | {
                "beta = .5": {"objective.beta": 0.5},
                "two layers, for comparison": {"model.decoder.widths": (200, 200)},
            },
        ),
    }
    rows = [
        {"name": f"{group}, {name}", "group": group, "overrides": model | changes}
        for group, (model, remedies) in groups.items()
        for name, changes in remedies.items()
    ]
    columns = {
        "I(x; z)": "latent/mutual_information_nats",
        "KL(q(z), p(z))": "latent/marginal_kl_nats",
    }
    return {"seeds": (0, 1), "columns": columns, "rows": rows, "notes": NOTES}
