"""The variational autoencoder of github.com/altosaar/variational-autoencoder, by steps.

Command:  python launch.py --experiment=reproduce --config=configs/papers/altosaar.py
Static MNIST, two ReLU layers of 256, 128 latent dimensions, batches of 128.
"""

from typing import Any

from configs import default
from configs.papers import vae

MEAN_FIELD = {5_000: -112.57, 10_000: -108.49, 20_000: -106.23}
IAF = {10_000: -110.12, 20_000: -105.02}
FLOW = {
    "model.posterior.name": "iaf",
    "model.posterior.num_layers": 2,
    "model.posterior.widths": (256, 256),
}

NOTES = """The repository's own runs differ by more than the tolerance. Its README also
has the mean field in PyTorch, with -109.05 and -107.66 after 10,000 and 20,000 steps;
in JAX, with -105.73 and -105.76; and the flow in JAX, with -106.99 and -108.06, which
is worse than the mean field, as ours is. Our seeds of the mean field differ by 3.5
nats after 5,000 steps and by 1.1 after 20,000, those of the flow by 1.6.

We tried these changes with seed 0. RMSprop that is not centred: mean field -113.3 after
5,000 steps and -103.8 after 20,000, flow -108.3. With Glorot's kernels and exp for the
scale as well: -108.0 after 5,000. Biases drawn as in PyTorch change nothing (-106.9
after 10,000 steps, -104.5 after 20,000). If the decoder starts at the mean of the data,
the codes collapse (-205.8). A flow as in that code (a learned context of 128 numbers,
in the first layer alone, ReLU, and kernels initialised as in PyTorch) has -104.8 after
20,000 steps, and -108.0 with seed 1."""


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.binarize = "static"
    config.dataset.validation_size = 10_000
    config.dataset.batch_size = 128
    config.model.latent_dim = 128
    config.model.decoder.output_bias = "zeros"  # from the data's mean it collapses
    config.model.initializer = "fan_in_uniform"
    config.model.posterior.scale = "softplus"
    for part in (config.model.encoder, config.model.decoder):
        part.widths, part.activation = (256, 256), "relu"
    config.optimizer.name, config.optimizer.b2 = "centered_rmsprop", 0.99
    if mode != "smoke":
        config.evaluate.bounds.importance_samples = 128
    return config


def table(mode: str) -> dict[str, Any]:
    kinds = (("mean field", {}, MEAN_FIELD), ("IAF", FLOW, IAF))
    rows: list[dict[str, Any]] = []
    for name, changes, elbos in kinds:
        for steps, elbo in elbos.items():
            last = steps if mode != "smoke" else steps // 1_000
            length = {"train.steps": last}
            rows.append(
                {
                    "name": f"{name}, {last:,} steps",
                    "overrides": changes | length,
                    "published": {"validation ELBO": elbo},
                    "tolerance": {"validation ELBO": 1.0} if not changes else {},
                }
            )
    return {
        "seeds": (0, 1, 2, 3),
        "columns": {"validation ELBO": "validation/elbo_nats"},
        "rows": rows,
        "source": "the README of github.com/altosaar/variational-autoencoder",
        "differs": "the draw of the static pixels; biases begin at zero; the flow "
        "begins at the identity, has ELU, and its context, which all its layers see, "
        "is the encoder's last layer; gradients are of the mean over a batch, not of "
        "the sum; NLL is of the test images",
        "notes": NOTES,
        "claims": [
            {
                "says": f"IAF is better by {last:,} steps",
                "column": "validation ELBO",
                "order": [f"{name}, {last:,} steps" for name, _, _ in kinds],
            }
        ],
    }
