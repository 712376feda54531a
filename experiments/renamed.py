"""What earlier versions called fields of the configuration, so that their runs open."""

from typing import Any

FIELDS = {
    "runtime.parallel": "runtime.parallel",
    "runtime.num_devices": "runtime.num_devices",
    "runtime.data_dir": "runtime.data_dir",
    "runtime.pipeline": "runtime.pipeline",
    "runtime.steps_per_call": "runtime.steps_per_call",
    "runtime.checkpoint_every": "runtime.checkpoint_every",
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
