r"""One data set is normal, another is not: which test images are of the other?

Command:  python launch.py --experiment=reproduce \
              --config=configs/papers/anomaly_data_sets.py
Published: the AUROC of exact probabilistic PCA with 32 components (this project's own).
"""

from typing import Any

from configs import default
from configs.papers import anomaly_one_class

NAMES = {"fashion_mnist": "Fashion", "mnist": "MNIST"}
NOTES = """Grey pixels are drawn as binary ones. A Bernoulli likelihood pays at least
the entropy of these draws, even for a perfect reconstruction: 189.6 nats for a Fashion
image and 45.5 for a digit, in the mean of the test images. So digits are more likely
than the images that the model was trained on. Gaussian pixels with a learned variance
do not have this cost."""
LIKELIHOODS = {
    "Bernoulli": {"model.likelihood.name": "bernoulli", "dataset.binarize": "dynamic"},
    "Gaussian": {"model.likelihood.name": "gaussian_shared"},
}


def get_config(mode: str = "") -> default.Config:
    config = anomaly_one_class.get_config(mode)
    config.dataset.name, config.evaluate.anomalies.source = "fashion_mnist", "mnist"
    config.dataset.keep_labels = ()
    if not mode:
        config.train.steps = 12_000  # 20 epochs
        config.runtime.checkpoint_every = 6_000
    return config


def table() -> dict[str, Any]:
    rows = [
        {
            "name": f"{NAMES[normal]} against {NAMES[other]}, {title} pixels",
            "overrides": {
                "dataset.name": normal,
                "evaluate.anomalies.source": other,
                **likelihood,
            },
            "published": {"AUROC pPCA": ppca},
        }
        for normal, other, ppca in (
            ("fashion_mnist", "mnist", 0.9727),
            ("mnist", "fashion_mnist", 0.9603),
        )
        for title, likelihood in LIKELIHOODS.items()
    ]
    return {
        "seeds": (0, 1),
        "columns": anomaly_one_class.columns(),
        "rows": rows,
        "source": "exact probabilistic PCA, 32 components, computed for this project",
        "tolerance": anomaly_one_class.TOLERANCE,
        "notes": NOTES,
    }
