r"""Nine digits are normal: which test images are of the one left out?

Command:  python launch.py --experiment=reproduce \
              --config=configs/papers/anomaly_leave_one_out.py
Published: the ELBO of a VAE with 2 and with 32 latent dimensions (Tonnaer, table 3.3).
"""

from typing import Any

from configs import default
from configs.papers import anomaly_one_class

OF_2 = (0.96, 0.73, 0.97, 0.94, 0.73, 0.92, 0.95, 0.77, 0.92, 0.66)
OF_32 = (0.81, 0.09, 0.92, 0.87, 0.78, 0.86, 0.87, 0.51, 0.89, 0.58)


def get_config(mode: str = "") -> default.Config:
    config = anomaly_one_class.get_config(mode)
    config.dataset.keep_labels = tuple(range(1, 10))
    config.model.latent_dim = 2
    config.evaluate.ppca_components = 8
    return config


def table() -> dict[str, Any]:
    rows = [
        {
            "name": f"without {digit}",
            "overrides": {
                "dataset.keep_labels": tuple(d for d in range(10) if d != digit)
            },
            "published": f"{OF_2[digit]} (2), {OF_32[digit]} (32)",
        }
        for digit in range(10)
    ]
    columns = anomaly_one_class.columns()
    return {"seeds": (0, 1), "columns": columns, "rows": rows, "mean": True}
