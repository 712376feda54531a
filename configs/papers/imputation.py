r"""Imputation: half of the values are missing in training, and half of the test values
are hidden.

Command:  python examples/prepare_imputation.py
          python launch.py --experiment=reproduce --config=configs/papers/imputation.py
Published: none; the claims, those of Mattei & Frellsen 2019 (arXiv 1812.02633, table
          1), were written before the run
"""

from typing import Any

from configs import default

NAMES = ("iris", "wine", "breast_cancer", "diabetes", "digits")
OTHERS = {"mean": "mean", "k-NN": "knn", "iterative": "iterative"}


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "npz:imputation/iris.npz"
    config.dataset.missing = "observed_only"
    config.dataset.scale = "standardize"
    config.dataset.batch_size = 32
    config.model.latent_dim = 8
    config.model.likelihood.name = "student_t"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (128, 128)
    config.objective.name = "iwae"
    config.objective.num_samples = 20
    config.train.steps = 3_000
    config.optimizer.schedule.name = "cosine"
    config.evaluate.imputation.hide = 0.5
    return default.finish(config, mode)


def table() -> dict[str, Any]:
    objectives = {
        "MIWAE, 20 samples": {},
        "one sample": {"objective.num_samples": 1},
    }
    titles = {"RMSE": "imputation/rmse", "coverage of 90%": "imputation/coverage90"}
    titles |= {f"RMSE {t}": f"imputation/{key}_rmse" for t, key in OTHERS.items()}
    rows = [
        {
            "name": f"{name}, {title}",
            "group": "row",
            "overrides": {"dataset.name": f"npz:imputation/{name}.npz", **objective},
        }
        for name in NAMES
        for title, objective in objectives.items()
    ]
    return {
        "seeds": (0, 1, 2),
        "columns": titles,
        "rows": rows,
        "claims": [
            {
                "says": f"{name}: MIWAE is better than {title}",
                "row": f"{name}, MIWAE, 20 samples",
                "order": ["RMSE", f"RMSE {title}"],
            }
            for name in NAMES
            for title in OTHERS
        ],
    }
