"""What the evaluation has found of the use of the latent space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.latents.section import DPI, Section, Table
from vae.evaluation.collapse import ACTIVE_VARIANCE

TICKS = 60  # named on an axis at most

PANELS = {
    "latent/kl_per_dim": "KL (nats)",
    "latent/mean_variance": "variance of posterior means",
    "latent/decoder_sensitivity": "sensitivity of the decoder",
}
NUMBERS = {
    "test/rate_nats": "rate",
    "latent/mutual_information_nats": "I(x; z)",
    "latent/information_limit_nats": "at most",
    "latent/marginal_kl_nats": "KL(q(z) || p(z))",
    "latent/active_units": "active units",
}
ANNEALING = {
    "ais/nll_nats": "NLL by annealing",
    "ais/approximation_gap_nats": "approximation gap",
    "ais/amortisation_gap_nats": "amortisation gap",
    "ais/simulated_gap_nats": "between both bounds, of simulated images",
}


def show_usage(evaluated: Mapping[str, Any], folder: Path) -> Section:
    """Shows the use of each dimension, and the numbers and the verdict on all."""
    panels, *rows = (
        {label: evaluated[key] for key, label in labels.items() if key in evaluated}
        for labels in (PANELS, NUMBERS, ANNEALING)
    )
    if not panels:
        return Section(left_out="the evaluation says nothing of single dimensions.")
    path = folder / "usage.png"
    _draw(panels).savefig(path, dpi=DPI)
    return Section(
        {"verdict": evaluated.get("collapse"), "annealed": evaluated.get("ais/images")},
        {"usage": path},
        [Table(tuple(row), [tuple(row.values())]) for row in rows],
    )


def _draw(panels: dict[str, list[float]]) -> Figure:
    """Draws a panel for each measure [D], all in the order of the first."""
    by, first = next(iter(panels.items()))
    order = np.argsort(first)[::-1]
    figure = Figure(figsize=(9, 1.9 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (label, values) in zip(rows, panels.items(), strict=True):
        axes.bar(np.arange(len(order)), np.array(values)[order], color="#31688e")
        if label == PANELS["latent/mean_variance"]:
            axes.axhline(ACTIVE_VARIANCE, color="#b42318", linewidth=1)
        axes.set_title(label, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(-0.6, len(order) - 0.4)
        every = -(-len(order) // TICKS)
        axes.set_xticks(np.arange(len(order))[::every], order[::every], fontsize=7)
    rows[-1].set_xlabel(f"dimension, by {by}")
    return figure
