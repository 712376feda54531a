"""Pythae's VAE, trained by its trainer and evaluated by its `get_nll`."""

import contextlib
import io
import logging
import tempfile
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig

from benchmarks import pytorch
from benchmarks.timing import AT_ONCE, Contestant
from vae.build import Config


class Encoder(BaseEncoder):
    def __init__(self, vae: pytorch.VAE):
        super().__init__()
        self.vae = vae

    def forward(self, x: torch.Tensor) -> ModelOutput:
        mean, log_variance = self.vae.encode(x)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self, decoder: torch.nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.decoder(z)))


def training(config: Config, images: np.ndarray, threads: int) -> Contestant:
    """Steps of one run on images [N, H, W, C] of zeros and ones."""
    torch.set_num_threads(threads)
    data = _as_tensor(images)
    dataset = BaseDataset(data, torch.zeros(len(data)))
    batch_size = config.dataset.batch_size
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            per_device_train_batch_size=batch_size,
            learning_rate=config.optimizer.learning_rate,
            optimizer_cls="Adam",
            optimizer_params={"eps": config.optimizer.eps, "fused": True},
        )
        trainer = BaseTrainer(make_vae(config, images), dataset, None, settings)
        trainer.prepare_training()
    per_epoch = len(data) // batch_size

    def run(steps: int) -> None:
        while steps > 0:
            size = min(steps, per_epoch) * batch_size
            part = BaseDataset(data[:size], dataset.labels[:size])
            trainer.train_loader = trainer.get_train_dataloader(part)
            with _quietly():
                trainer.train_step(epoch=1)
            steps -= per_epoch

    return Contestant("Pythae's trainer", run)


def likelihood_bound(config: Config, images: np.ndarray, threads: int) -> Contestant:
    """Images [N, H, W, C] of zeros and ones whose bound is computed."""
    torch.set_num_threads(threads)
    model, data = make_vae(config, images), _as_tensor(images)
    samples = config.evaluate.bounds.importance_samples
    at_once = min(samples, AT_ONCE)  # it takes whole batches of samples only

    @torch.no_grad()
    def run(count: int) -> None:
        for start in range(0, count, len(data)):
            some = data[: count - start]
            model.get_nll(some, n_samples=samples, batch_size=at_once)

    return Contestant("Pythae's get_nll", run)


def make_vae(config: Config, images: np.ndarray) -> VAE:
    """Returns the model of the configuration, on PyTorch's modules of it."""
    vae = pytorch.make_vae(config, images)
    settings = VAEConfig(
        input_dim=tuple(_as_tensor(images).shape[1:]),
        latent_dim=config.model.latent_dim,
        reconstruction_loss="bce",
    )
    return VAE(settings, Encoder(vae), Decoder(vae.decoder))


def _as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


@contextlib.contextmanager
def _quietly() -> Any:
    """Leaves the terminal alone: the trainer logs, and draws a bar for each epoch."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
