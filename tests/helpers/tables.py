"""A table with a column of each kind."""

from pathlib import Path
from typing import Any

import numpy as np

SEXES, COLOURS = ("f", "m"), ("blue", "green", "red")


def save_table(path: Path, rows: int = 40, missing: float = 0.0) -> str:
    """Writes a labelled table; returns the name of the data set.

    Visits, colour and health follow the age, each with noise.

    Args:
      path: of the file, CSV.
      rows: how many.
      missing: the probability that a cell is empty; of the age none is.
    """
    random = np.random.default_rng(0)
    age = random.uniform(20, 80, rows)
    share = (age - 20) / 60
    columns: dict[str, Any] = {
        "age": [f"{value:.3f}" for value in age],
        "colour": [COLOURS[int(2.99 * s)] for s in share],
        "visits": random.poisson(1 + 20 * share),
        "is_healthy": random.random(rows) > share,
        "sex": [SEXES[place % 2] for place in range(rows)],
        "label": [place % 3 for place in range(rows)],
    }
    is_hole = random.random((rows, len(columns))) < missing
    is_hole[:, [0, -1]] = False
    cells = np.where(is_hole, "", np.array([*columns.values()], str).T)
    lines = [",".join(columns), *map(",".join, cells)]
    path.write_text("\n".join(lines) + "\n")
    return f"table:{path}"


def use_table(config: Any, path: Path, **given: Any) -> None:
    """Sets the data of a configuration to `save_table`."""
    config.dataset.name = save_table(path, **given)
    config.dataset.label_column = "label"
    config.dataset.column_kinds = ("visits:count",)
    config.dataset.scale = "standardize"
    config.dataset.batch_size = 8
