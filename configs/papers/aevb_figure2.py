"""Auto-encoding variational Bayes: the bound on MNIST's test images, figure 2.

Command:  python launch.py --experiment=reproduce \\
              --config=configs/papers/aevb_figure2.py
One tanh layer of 500, batches of 100, Adagrad, kernels from N(0, .01), 1e7 training
samples.
"""

from typing import Any

from configs import default
from configs.papers import vae

ELBOS = {3: -134.0, 5: -124.0, 10: -108.0, 20: -105.0, 200: -104.0}

NOTES = """The result is better than the figure with 5 to 20 dimensions and worse with
3. Two seeds differ by 3.6 nats with 200 dimensions, and by at most 1.6 with fewer. The
figure shows one run. With seed 0, we also tried other settings. Glorot's kernels, with
the decoder started at the mean of the data, are farther from the figure (-138.6 with 3
dimensions, -98.5 with 20). So are kernels with a standard deviation of .01: with 3
dimensions, the loss after 20,000 steps is 154 nats instead of 146. Adagrad diverges at
.1, the largest of the paper's three rates. We suspect that the paper used grey pixels
as if they were probabilities. No likelihood allows this, and this code refuses it. In
a copy that does not refuse, the loss after 20,000 steps is .7 nats lower with 3
dimensions and 2.3 higher with 20."""


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.initializer = "normal"
    config.model.decoder.output_bias = "zeros"
    config.optimizer.name, config.optimizer.learning_rate = "adagrad", 0.02
    if mode != "smoke":
        config.train.steps = 100_000
        config.train.log_every = 5_000
        config.runtime.checkpoint_every = 25_000
        config.evaluate.bounds.importance_samples = 100
    return config


def table() -> dict[str, Any]:
    rows = [
        {
            "name": f"Nz = {latent_dim}",
            "overrides": {"model.latent_dim": latent_dim},
            "published": {"ELBO": elbo},
        }
        for latent_dim, elbo in ELBOS.items()
    ]
    return {
        "seeds": (0, 1),
        "columns": {"ELBO": "test/elbo_nats"},
        "rows": rows,
        "source": "Kingma & Welling 2013, arXiv 1312.6114, figure 2, read by eye",
        "differs": "the rate of Adagrad, of three in the paper; pixels are drawn as 0 "
        "or 1; biases begin at zero; no weight decay",
        "tolerance": {"ELBO": 3.0},
        "notes": NOTES,
    }
