r"""One digit is normal: which test images are of another? Pixels are Gaussian, as in
probabilistic PCA, which is the last score.

Command:  python launch.py --experiment=reproduce \
              --config=configs/papers/anomaly_one_class.py
"""

from collections.abc import Iterator
from typing import Any

from configs import default

DIGITS = tuple((digit,) for digit in range(10))
DEEP_SVDD = (98.0, 99.7, 91.7, 91.9, 94.9, 88.5, 98.3, 94.6, 93.9, 96.5)
EXACT_PPCA = (0.993, 0.999, 0.924, 0.954, 0.945, 0.973, 0.985, 0.970, 0.849, 0.963)
TOLERANCE = {"AUROC pPCA": 0.005}  # of the baseline, which has no seed
SCORES = (
    ("-ELBO", "neg_elbo"),
    ("-L_K", "neg_bound"),
    ("reconstruction", "reconstruction"),
    ("-E log p(x given z)", "distortion"),
    ("KL", "rate"),
    ("typicality", "atypicality"),
    ("complexity", "complexity_ratio"),
    ("regret", "regret"),
    ("pPCA", "ppca"),
)


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name, config.dataset.binarize = "mnist", "none"
    config.dataset.keep_labels = (0,)
    config.model.encoder.widths = config.model.decoder.widths = (200, 200)
    config.model.encoder.activation = config.model.decoder.activation = "tanh"
    config.model.latent_dim = 32
    config.model.likelihood.name = "gaussian_shared"
    config.train.steps = 5_400  # 100 visits of each image of the smallest class
    config.runtime.checkpoint_every = 2_700
    config.evaluate.bounds.importance_samples = 50
    config.evaluate.anomalies.source = "other_labels"
    config.evaluate.anomalies.regret_images = 200
    return default.finish(config, mode)


def sweep() -> Iterator[dict[str, Any]]:
    """The ten models as one sweep."""
    for labels in DIGITS:
        yield {"dataset.keep_labels": labels}


def table() -> dict[str, Any]:
    rows = [
        {
            "name": f"digit {labels[0]}",
            "overrides": {"dataset.keep_labels": labels},
            "published": {"AUROC -ELBO": svdd / 100, "AUROC pPCA": ppca},
        }
        for labels, svdd, ppca in zip(DIGITS, DEEP_SVDD, EXACT_PPCA, strict=True)
    ]
    return {
        "seeds": (0, 1),
        "columns": columns(),
        "rows": rows,
        "mean": True,
        "source": "beside the ELBO, one-class Deep SVDD (Ruff et al. 2018, ICML); "
        "beside pPCA, the exact one with 32 components, computed for this project",
        "tolerance": TOLERANCE,
    }


def columns() -> dict[str, str]:
    """The AUROC of each score."""
    return {f"AUROC {title}": f"anomaly/{name}_auroc" for title, name in SCORES}
