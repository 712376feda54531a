r"""Ladder VAEs (Sonderby et al. 2016): five groups of codes on MNIST.

Command:  python launch.py --experiment=reproduce --config=configs/papers/ladder.py
          (:full for 2,000 epochs and 5,000 importance samples)
Published: NLL at 200 epochs (of the figure, +- .2), and units whose KL is above .01
           nats in each group
Time:      a row trains for half an hour on a quiet core, for an hour on a busy one, and
           is evaluated for 8 minutes
"""

from typing import Any

from configs import default

EPOCHS, FULL = 200, 2_000
STEPS_PER_EPOCH = 60_000 // 256
PUBLISHED = {  # NLL at both numbers of epochs, units of each group
    "VAE": (87.0, 85.8, (20, 1, 0, 0, 0)),
    "VAE, batch norm": (84.5, 82.9, (20, 9, 3, 3, 2)),
    "VAE, batch norm, warm-up": (84.3, 82.15, (34, 18, 6, 2, 1)),
    "ladder, batch norm, warm-up": (83.9, 81.9, (46, 22, 8, 3, 2)),
}
NORMALIZED = {
    f"model.{field}": "batch"
    for field in (
        "encoder.normalization",
        "decoder.normalization",
        "group_normalization",
    )
}
WARM = {
    "objective.name": "beta_vae",
    "objective.annealing": "linear",
    "objective.annealing_steps": float(EPOCHS * STEPS_PER_EPOCH),
}
NOTES = """Every row is within .5 nats of the paper. In this seed the ladder does not
beat the chain with warm-up: it is .27 nats worse, but .4 better in the paper. We know
of no setting that differs but the scale (see above). Another seed takes half an hour a
row. Only the ladder uses group 5: its rate is 1.8 nats there, and 0.0 in the chains.
With batch normalisation the scale of a code is free, so nearly every unit below group
4 has a variance above .01, in the chains too. So the two definitions of active units
differ, and the claims about them say little. With exp in place of softplus, both chains
with batch normalisation diverged within 200 steps."""
CHANGES: dict[str, dict[str, Any]] = {
    "VAE": {},
    "VAE, batch norm": NORMALIZED,
    "VAE, batch norm, warm-up": NORMALIZED | WARM,
    "ladder, batch norm, warm-up": NORMALIZED | WARM | {"model.name": "ladder"},
}


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.batch_size = 256
    config.model.name = "chain"
    config.model.latent_dim = 64
    config.model.groups = (32, 16, 8, 4)
    config.model.group_widths = (256, 128, 64, 32)
    config.model.group_activation = "leaky_relu_0.1"
    config.model.posterior.scale = "softplus"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (512, 512)
        part.activation = "leaky_relu_0.1"
    epochs = FULL if mode == "full" else EPOCHS
    config.train.steps = epochs * STEPS_PER_EPOCH
    config.train.log_every = STEPS_PER_EPOCH
    config.runtime.checkpoint_every = 10 * STEPS_PER_EPOCH
    config.evaluate.bounds.importance_samples = 5_000 if mode == "full" else 1_000
    return default.finish(config, mode, "full")


def table(mode: str) -> dict[str, Any]:
    rows = []
    for name, (at_200, at_2000, units) in PUBLISHED.items():
        groups = {str(i + 1): count for i, count in enumerate(units)}
        nll = at_2000 if mode == "full" else at_200
        row = {
            "name": name,
            "overrides": CHANGES[name],
            "published": {"NLL": nll} | {f"units {i}": n for i, n in groups.items()},
            "tolerance": {"NLL": 0.5},
        }
        rows.append(row)
    names = [*PUBLISHED]
    return {
        "seeds": (0,),
        "columns": {
            f"units {i + 1}": f"latent/active_units_per_group[{i}]" for i in range(5)
        },
        "rows": rows,
        "claims": [
            {
                "says": "each of the three helps",
                "column": "NLL",
                "order": names[::-1],
            },
            *(
                {
                    "says": f"group {group}: the ladder uses more units",
                    "column": f"units {group}",
                    "order": [names[2], names[3]],
                }
                for group in (1, 2, 3)
            ),
        ],
        "notes": NOTES,
        "source": "Sonderby et al. 2016, arXiv 1602.02282, figure 4 and table 2",
        "differs": "units are those whose posterior mean has a variance above .01; "
        "theirs have a KL above .01. Softplus gives the standard deviation here, and "
        "the variance in the paper",
    }
