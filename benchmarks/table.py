"""The benchmark's results as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments import origin

NOTES = """Every number is the median over the rounds of one run, with the least and the
most in brackets. In a round all rows of a table are timed, one right after the other;
"ours / this" is the median of the rounds' ratios. GFLOP/s count the model's matrix
products and convolutions; their share is that of the larger peak above.

The same in all rows: model, batch, likelihood, Adam (fused in PyTorch), float32. What
differs favours the others: ours is what a launch runs, with its schedule, data order
and metrics; it draws sprites within the step, which the others read from memory. Images
of MNIST are binarised anew at each look by us and in PyTorch, but once for all for
Pythae and Flax's example, which do so. In PyTorch a batch is gathered from one array,
without a DataLoader, and convolutions are channels-last. Pythae is given the same
modules and the fused Adam. Denormal numbers are zero for all, as XLA has them. A sweep
of ours trains one member on each core; so does PyTorch by a process on each, of one
thread. Not measured on GPU or TPU."""


def as_markdown(results: Mapping[str, Any]) -> str:
    """Returns the report of what `run` wrote to `table.json`."""
    about, peak = results["about"], max(results["peak_gflops"].values())
    versions = ", ".join(f"{k} {v}" for k, v in about["packages"].items())
    gflops = results["peak_gflops"]
    peaks = ", ".join(f"{value:.0f} GFLOP/s by {by}" for by, value in gflops.items())
    lines = [
        f"Written by `python {' '.join(about['command'])}`, commit "
        f"{origin.short(about['git_commit'])}, {about['time'][:10]}.",
        "",
        f"{about['processor']}, {about['cores']} cores; Python {about['python']}, "
        f"{versions}. Peak of float32 matrix products: {peaks}.",
        "",
        NOTES,
    ]
    for workload in results["workloads"]:
        lines += ["", *_workload(workload, peak)]
    return "\n".join([*lines, "", *_convolutions(results["convolutions"])]) + "\n"


def _workload(workload: Mapping[str, Any], peak: float) -> Iterator[str]:
    yield f"| {workload['name']} | {workload['unit']} | ours / this | GFLOP/s | share |"
    yield "|---|---|---|---|---|"
    ours = np.array(next(iter(workload["rates"].values())))
    for name, rates in workload["rates"].items():
        gflops = np.median(rates) * workload["gflop"]
        yield (
            f"| {name} | {_spread(rates)} | {np.median(ours / rates):.2f} "
            f"| {gflops:.0f} | {gflops / peak:.0%} |"
        )


def _convolutions(layers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a table with a row per layer; not all have the same ways."""
    ways = list(dict.fromkeys(name for layer in layers for name in layer["ms"]))
    yield "Convolutions, forward and both gradients within a loop, in milliseconds:"
    yield ""
    yield f"| layer, batch 64 | {' | '.join(ways)} |"
    yield "|---" * (len(ways) + 1) + "|"
    for layer in layers:
        cells = [_spread(layer["ms"][w]) if w in layer["ms"] else "" for w in ways]
        yield f"| {layer['layer']} | {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    digits = 0 if np.median(values) >= 100 else 1 if np.median(values) >= 10 else 2
    middle, low, high = np.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
