"""What is timed against PyTorch, Pythae and Flax's example, on this machine.

Command:  python launch.py --experiment=benchmark --config=configs/benchmark.py \
              --workdir=experiments/results/benchmark
          (after: pip install torch pythae)
"""

from typing import Any

from configs import default, mnist_vae

SPRITES = 737_280 - 2_048  # that are not test


def get_config(mode: str = "") -> default.Config:
    config = mnist_vae.get_config(mode)
    config.runtime.num_devices = 1
    config.evaluate.bounds.importance_samples = 5_000
    return default.finish(config, mode)


def workloads() -> list[dict[str, Any]]:
    mlp = {
        "dataset.batch_size": 128,
        "model.latent_dim": 32,
        **_both("widths", (512, 512)),
        **_both("activation", "relu"),
    }
    sprites = {
        "dataset.name": "sprites",
        "dataset.validation_size": SPRITES - 60_000,  # train on as many as MNIST has
        "dataset.binarize": "none",
        "dataset.batch_size": 64,
        "model.latent_dim": 10,
        **_both("name", "conv_locatello"),
    }
    return [
        {"name": "mnist_vae, batch 20", "measure": "train", "overrides": {}},
        {
            "name": "mnist_vae, batch 100",
            "measure": "train",
            "overrides": {"dataset.batch_size": 100},
        },
        {"name": "MLP of 512, batch 128", "measure": "train", "overrides": mlp},
        {"name": "sprites, batch 64", "measure": "train", "overrides": sprites},
        {
            "name": "8 members of mnist_vae, batch 100",
            "measure": "sweep",
            "overrides": {"dataset.batch_size": 100},
        },
        {"name": "NLL of mnist_vae, K = 5,000", "measure": "nll", "overrides": {}},
    ]


def _both(field: str, value: Any) -> dict[str, Any]:
    return {f"model.{part}.{field}": value for part in ("encoder", "decoder")}
