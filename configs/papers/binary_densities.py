r"""VAEs and Chow-Liu trees on ten binary data sets: test log-likelihood.

Command:  python examples/prepare_binary.py Density-Estimation-Datasets/datasets
          python launch.py --experiment=reproduce \
              --config=configs/papers/binary_densities.py
Published: test log-likelihood in nats: Chow-Liu trees (four sets), EoNADE (dna,
           mushrooms); none for the others. Warm-up, latent dimensions and steps were
           chosen by the ELBO of the validation rows.
"""

from typing import Any

from configs import default

SMALL = {"model.latent_dim": 4}  # and no warm-up: few rows are soon overfitted
WARM = {"objective.annealing": "linear", "objective.annealing_steps": 3_000.0}
# Rows of validation, steps, other changes, and the published log-likelihood, if any.
SETS: dict[str, tuple[int, int, dict[str, Any], float | None]] = {
    "accidents": (1_700, 8_000, WARM, -33.19),
    "baudio": (2_000, 8_000, WARM, -44.37),
    "bbc": (225, 1_600, SMALL, None),
    "bnetflix": (2_000, 8_000, WARM, -60.25),
    "dna": (400, 3_000, WARM | {"objective.annealing_steps": 1_500.0}, -82.31),
    "moviereview": (150, 800, SMALL, None),
    "mushrooms": (500, 8_000, WARM, -9.68),
    "nips": (100, 400, SMALL, None),
    "pumsb_star": (1_635, 8_000, WARM, -30.81),
    "voting": (200, 3_000, WARM | {"objective.annealing_steps": 1_500.0}, None),
}
PUBLISHED_BY = {"dna": "NLL", "mushrooms": "NLL"}  # EoNADE; others are of trees
TREES = ("accidents", "baudio", "bnetflix", "pumsb_star")


NOTES = """The VAE is better than the tree on nine of ten sets. On dna it is 7.8 nats
worse than the tree and 13 worse than EoNADE. There, neighbouring columns depend on each
other: a tree or an autoregressive model sees this, codes of the whole row do not. With
4 and 8 dimensions the result was worse (96.3 and 97.4 at best). On mushrooms it is 3.2
nats worse than EoNADE. The gap between importance sampling and annealing explains less
than .1 of this. Annealing and sampling agree within their errors, except on bbc, dna
and voting, where annealing is 1 to 9 nats better."""


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "npz:binary/accidents.npz"
    config.dataset.validation_size = SETS["accidents"][0]
    config.dataset.batch_size = 100
    config.model.latent_dim = 32
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (200, 200)
    config.train.steps = 8_000
    config.optimizer.schedule.name = "cosine"
    config.evaluate.bounds.importance_samples = 500
    config.evaluate.chow_liu.pseudocount = 1.0
    config.evaluate.ais.images = 50
    config.evaluate.ais.steps = 300
    return default.finish(config, mode)


def table(mode: str) -> dict[str, Any]:
    rows = []
    for name, (validation_size, steps, others, published) in SETS.items():
        changes = {
            "dataset.name": f"npz:binary/{name}.npz",
            "dataset.validation_size": validation_size,
            **others,
        }
        if mode != "smoke":
            changes["train.steps"] = steps
        row: dict[str, Any] = {"name": name, "group": "set", "overrides": changes}
        if published is not None:
            row["published"] = {PUBLISHED_BY.get(name, "NLL Chow-Liu"): -published}
        rows.append(row)
    return {
        "seeds": (0, 1),
        "columns": {
            "NLL Chow-Liu": "baseline/chow_liu_nll_nats",
            "NLL independent": "baseline/independent_nll_nats",
            "AIS, 50 rows": "ais/nll_nats",
            "IS, the same rows": "ais/nll_is500_nats",
        },
        "rows": rows,
        "claims": [
            {
                "says": f"{name}: better than the tree",
                "row": name,
                "order": ["NLL", "NLL Chow-Liu"],
            }
            for name in TREES
        ],
        "notes": NOTES,
        "source": "Chow-Liu trees of accidents, baudio, bnetflix and pumsb_star; "
        "EoNADE (Uria et al. 2014, arXiv 1310.1757) of dna and mushrooms",
    }
