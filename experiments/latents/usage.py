"""What the evaluation has found of the use of the latent space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.latents.section import Section, Table, left_out, plot
from vae.evaluation.collapse import ACTIVE_VARIANCE

PANELS = {
    "latent/kl_per_dim": "KL (nats)",
    "latent/mean_variance": "variance of posterior means",
    "latent/decoder_sensitivity": "sensitivity of the decoder",
}
TRUTH = {
    "ais/nll_nats": "NLL by annealing",
    "ais/approximation_gap_nats": "approximation gap",
    "ais/amortisation_gap_nats": "amortisation gap",
    "ais/simulated_gap_nats": "between both bounds, of simulated images",
}
NUMBERS = {
    "test/rate_nats": "rate",
    "latent/mutual_information_nats": "I(x; z)",
    "latent/information_limit_nats": "at most",
    "latent/marginal_kl_nats": "KL(q(z) || p(z))",
    "latent/active_units": "active units",
}


def show_usage(evaluated: Mapping[str, Any], folder: Path) -> Section:
    """Shows each dimension, and the verdict on all."""
    panels = {key: label for key, label in PANELS.items() if key in evaluated}
    if not panels:
        return left_out("the evaluation says nothing of single dimensions.")
    key = next(iter(panels))
    order = np.argsort(evaluated[key])[::-1]
    figure = Figure(figsize=(9, 1.9 * len(panels)), layout="constrained")
    for axes, (key, label) in zip(
        figure.subplots(len(panels), 1, squeeze=False)[:, 0],
        panels.items(),
        strict=True,
    ):
        values = np.array(evaluated[key])[order]
        axes.bar(np.arange(len(values)), values, color="#31688e")
        if key == "latent/mean_variance":
            axes.axhline(ACTIVE_VARIANCE, color="#b42318", linewidth=1)
        axes.set_title(label, fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_xticks(np.arange(len(values)), order, fontsize=7)
    axes.set_xlabel(f"dimension, by {next(iter(panels.values()))}")
    caption = (
        "A bar is a dimension. The line is the variance above which one counts as "
        "active. Sensitivity is how far mean images move as the code does: the norm of "
        "their derivative, as root mean square over codes."
    )
    numbers = {
        label: evaluated[key] for key, label in NUMBERS.items() if key in evaluated
    }
    tables = [
        Table(tuple(numbers), [tuple(numbers.values())], "In nats, but for units.")
    ]
    told = {label: evaluated[key] for key, label in TRUTH.items() if key in evaluated}
    if told:
        caption_of_truth = f"In nats, of {evaluated['ais/images']} test images."
        tables.append(Table(tuple(told), [tuple(told.values())], caption_of_truth))
    return Section(
        f"Verdict: {evaluated.get('collapse', 'none')}.",
        [plot(folder, "usage", figure, caption)],
        tables,
    )
