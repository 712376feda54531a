"""What earlier versions called fields and results, so that their runs open."""

from typing import Any

FIELDS = {
    "parallel": "runtime.parallel",
    "num_devices": "runtime.num_devices",
    "dataset.data_dir": "runtime.data_dir",
    "dataset.pipeline": "runtime.pipeline",
    "train.steps_per_call": "runtime.steps_per_call",
    "train.checkpoint_every": "runtime.checkpoint_every",
    "objective.growth": "objective.annealing",
    "objective.growth_steps": "objective.annealing_steps",
    "evaluate.batch_size": "runtime.evaluation_batch_size",
    "evaluate.importance_samples": "evaluate.bounds.importance_samples",
    "evaluate.fitted_components": "evaluate.fitted_density.components",
    "evaluate.factor_points": "evaluate.disentanglement.points",
    "evaluate.anomalies": "evaluate.anomalies.source",
    "evaluate.regret_images": "evaluate.anomalies.regret_images",
    "evaluate.ppca_components": "evaluate.anomalies.ppca_components",
    "evaluate.annealed_images": "evaluate.ais.images",
    "evaluate.annealed_steps": "evaluate.ais.steps",
}
RESULTS = {
    "truth/annealed_steps": "ais/steps",
    "truth/nll_ais_nats": "ais/nll_nats",
    "truth/nll_ais_stderr": "ais/nll_stderr",
    "truth/nll_ais_ess": "ais/ess",
    "truth/nll_ais_acceptance": "ais/acceptance",
}


def with_new_keys(results: dict[str, Any]) -> dict[str, Any]:
    """Returns results with today's names of them."""
    return {
        RESULTS.get(key, key.replace("truth/", "ais/", 1)): value
        for key, value in results.items()
    }


def with_new_names(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a nested configuration with today's names of its fields."""
    renamed: dict[str, Any] = {}
    for field, value in flatten(config).items():
        *groups, name = FIELDS.get(field, field).split(".")
        parent = renamed
        for group in groups:
            parent = parent.setdefault(group, {})
        parent[name] = value
    return renamed


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"a.b": value} of a nested configuration."""
    flat = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
