"""The same models in PyTorch, as its users write them, and their training.

Data lie in memory as bytes; a batch is a part of a permutation, gathered, scaled and
binarised as a whole, without a `DataLoader`.
"""

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.benchmark.timing import Contestant
from vae.build import Config
from vae.types import UserError

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
ROWS_PER_CHUNK = 1_000  # decoder rows of a likelihood bound at once

torch.set_num_threads(os.cpu_count() or 1)


class VAE(nn.Module):
    """A diagonal Gaussian posterior, a standard normal prior, Bernoulli pixels."""

    def __init__(self, config: Config, image_shape: tuple[int, int, int]):
        super().__init__()
        make = {"mlp": _mlp, "conv_locatello": _conv_locatello}
        name, latent_dim = config.model.encoder.name, config.model.latent_dim
        if name not in make or name != config.model.decoder.name:
            raise UserError(
                f"model.encoder.name={name} is not written in PyTorch: choose from "
                f"{', '.join(make)}, for the decoder too"
            )
        self.encoder, self.decoder, features = make[name](config, image_shape)
        self.mean = nn.Linear(features, latent_dim)
        self.log_variance = nn.Linear(features, latent_dim)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps images [B, C, H, W] to means and log-variances [B, D]."""
        features = self.encoder(x)
        return self.mean(features), self.log_variance(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the negative ELBO in nats, the mean over images [B, C, H, W]."""
        mean, log_variance = self.encode(x)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        distortion = functional.binary_cross_entropy_with_logits(
            self.decoder(z), x, reduction="sum"
        )
        rate = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (distortion + rate) / len(x)

    def importance_bound(self, x: torch.Tensor, num_samples: int) -> torch.Tensor:
        """Returns the importance-weighted bound in nats of one image [1, C, H, W]."""
        mean, log_variance = self.encode(x)
        log_weights = []
        for _ in range(num_samples // ROWS_PER_CHUNK):
            noise = torch.randn(ROWS_PER_CHUNK, mean.shape[-1])
            z = mean + torch.exp(0.5 * log_variance) * noise
            logits = self.decoder(z)
            distortion = functional.binary_cross_entropy_with_logits(
                logits, x.expand_as(logits), reduction="none"
            )
            log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(-1)
            log_weights.append(log_ratio - distortion.flatten(1).sum(-1))
        return torch.logsumexp(torch.cat(log_weights), 0) - np.log(num_samples)


def make_vae(config: Config, images: np.ndarray) -> VAE:
    """Returns the model of the configuration, in the layout that suits it.

    Raises:
      UserError: it is not written in PyTorch.
    """
    torch.manual_seed(config.seed)
    model = VAE(config, images.shape[1:])
    if config.model.encoder.name != "mlp":
        model.to(memory_format=torch.channels_last)
    return model


def training(config: Config, images: np.ndarray, compiled: bool) -> Contestant:
    """Steps of one run on images [N, H, W, C] of bytes, with fused Adam."""
    model = make_vae(config, images)
    optimizer = torch.optim.Adam(
        model.parameters(),
        config.optimizer.learning_rate,
        eps=config.optimizer.eps,
        fused=True,
    )
    binarizes = config.dataset.binarize == "dynamic"

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        x = batch.permute(0, 3, 1, 2).float() / 255
        return model(torch.bernoulli(x) if binarizes else x)

    compute: Callable[[torch.Tensor], torch.Tensor] = (
        torch.compile(loss_of, dynamic=False) if compiled else loss_of
    )
    batches = endless_batches(torch.from_numpy(images), config.dataset.batch_size)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            compute(next(batches)).backward()
            optimizer.step()

    return Contestant("PyTorch, compiled" if compiled else "PyTorch, eager", run)


def likelihood_bound(config: Config, images: np.ndarray) -> Contestant:
    """Images [N, H, W, C] of zeros and ones whose bound is computed."""
    model = make_vae(config, images)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).float()

    @torch.no_grad()
    def run(count: int) -> None:
        for i in range(count):
            x = data[i % len(data)][None]
            model.importance_bound(x, config.evaluate.importance_samples).item()

    return Contestant("PyTorch, eager", run)


def products(side: int) -> Contestant:
    """Products of two square matrices."""
    square = torch.ones(side, side)

    def run(count: int) -> None:
        for _ in range(count):
            torch.mm(square, square)

    return Contestant("torch", run)


def endless_batches(images: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Yields batches of images [N, ...], each epoch in another order."""
    while True:
        order = torch.randperm(len(images))
        for start in range(0, len(images) - size + 1, size):
            yield images[order[start : start + size]]


def _mlp(
    config: Config, image_shape: tuple[int, int, int]
) -> tuple[nn.Module, nn.Module, int]:
    """Returns encoder, decoder, and how many features the encoder gives."""
    height, width, channels = image_shape
    widths, pixels = tuple(config.model.encoder.widths), height * width * channels
    activation = ACTIVATIONS[config.model.encoder.activation]

    def chain(*sizes: int) -> list[nn.Module]:
        pairs = zip(sizes, sizes[1:], strict=False)
        return [part for pair in pairs for part in (nn.Linear(*pair), activation())]

    encoder = nn.Sequential(nn.Flatten(), *chain(pixels, *widths))
    decoder = nn.Sequential(
        *chain(config.model.latent_dim, *reversed(widths)),
        nn.Linear(widths[0], pixels),
        nn.Unflatten(1, (channels, height, width)),
    )
    return encoder, decoder, widths[-1]


def _conv_locatello(
    config: Config, image_shape: tuple[int, int, int]
) -> tuple[nn.Module, nn.Module, int]:
    """Returns encoder and decoder of Locatello et al. 2019 (table 1), see `_mlp`."""
    height, width, channels = image_shape
    small = (64, height // 16, width // 16)
    features = int(np.prod(small))
    encoder = nn.Sequential(
        *(nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(32, 64, 2, 2), nn.ReLU()),
        *(nn.Conv2d(64, 64, 2, 2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(features, 256), nn.ReLU()),
    )
    decoder = nn.Sequential(
        *(nn.Linear(config.model.latent_dim, 256), nn.ReLU()),
        *(nn.Linear(256, features), nn.ReLU(), nn.Unflatten(1, small)),
        *(nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU()),
        nn.ConvTranspose2d(32, channels, 4, 2, 1),
    )
    return encoder, decoder, 256
