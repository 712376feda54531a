"""What earlier versions called fields of the configuration, so that their runs open."""

from typing import Any

FIELDS = {
    "parallel": "runtime.parallel",
    "num_devices": "runtime.num_devices",
    "dataset.data_dir": "runtime.data_dir",
    "dataset.pipeline": "runtime.pipeline",
    "train.steps_per_call": "runtime.steps_per_call",
    "train.checkpoint_every": "runtime.checkpoint_every",
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
