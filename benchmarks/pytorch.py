"""The same models in PyTorch, as its users write them, and their training.

Data lie in memory as bytes; a batch is a part of a permutation, gathered, scaled and
binarised as a whole, without a `DataLoader`.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.timing import AT_ONCE, Contestant
from vae.build import Config

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}

# As XLA does. Else the moments of weights that hardly change, as at pixels that are
# never on, become denormal and halve the speed after some thousand steps. Threads have
# it from the one that starts them, so it stands before any work.
torch.set_flush_denormal(True)


class VAE(nn.Module):
    """A diagonal Gaussian posterior, a standard normal prior, Bernoulli pixels."""

    def __init__(self, config: Config, image_shape: tuple[int, int, int]):
        super().__init__()
        make = {"mlp": _mlp, "conv_locatello": _conv_locatello}
        name, latent_dim = config.model.encoder.name, config.model.latent_dim
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
        log_weights = [
            self.log_weights(x, mean, log_variance, torch.randn(rows, mean.shape[-1]))
            for rows in chunk_sizes(num_samples)
        ]
        return torch.logsumexp(torch.cat(log_weights), 0) - np.log(num_samples)

    def log_weights(
        self,
        x: torch.Tensor,
        mean: torch.Tensor,
        log_variance: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Returns log p(x, z) / q(z | x) [K] of one image by noise [K, D]."""
        z = mean + torch.exp(0.5 * log_variance) * noise
        logits = self.decoder(z)
        distortion = functional.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        )
        log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(-1)
        return log_ratio - distortion.flatten(1).sum(-1)


def chunk_sizes(num_samples: int) -> list[int]:
    """Cuts samples into chunks of `AT_ONCE` and a rest."""
    whole, rest = divmod(num_samples, AT_ONCE)
    return [AT_ONCE] * whole + [rest] * (rest > 0)


def make_vae(config: Config, images: np.ndarray) -> VAE:
    """Returns the model of the configuration, in the layout that suits it."""
    torch.manual_seed(config.seed)
    model = VAE(config, images.shape[1:])
    if config.model.encoder.name != "mlp":
        model.to(memory_format=torch.channels_last)
    return model


def training(
    config: Config,
    images: np.ndarray,
    name: str,
    threads: int,
    compiled: bool,
    device: str = "cpu",
) -> Contestant:
    """Steps of one run on images [N, H, W, C] of bytes, with fused Adam."""
    torch.set_num_threads(threads)
    compute, optimizer, batches = _prepare(config, images, device, compiled=compiled)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            compute(next(batches)).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return Contestant(name, run)


def training_as_graph(config: Config, images: np.ndarray, name: str) -> Contestant:
    """The same on a GPU, with the whole step recorded as one CUDA graph."""
    compute, optimizer, batches = _prepare(config, images, "cuda", compiled=False)
    batch = next(batches)  # whose memory the graph reads

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        compute(batch).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is recorded must have run before
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run(steps: int) -> None:
        for _ in range(steps):
            batch.copy_(next(batches))
            graph.replay()
        torch.cuda.synchronize()

    return Contestant(name, run)


def _prepare(
    config: Config, images: np.ndarray, device: str, *, compiled: bool
) -> tuple[
    Callable[[torch.Tensor], torch.Tensor],
    torch.optim.Optimizer,
    Iterator[torch.Tensor],
]:
    """Returns the loss of a batch of bytes, its optimizer, and the batches."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    model = make_vae(config, images).to(device)
    optimizer = torch.optim.Adam(
        model.parameters(),
        config.optimizer.learning_rate,
        eps=config.optimizer.eps,
        fused=True,
        capturable=device == "cuda",
    )
    binarizes = config.dataset.binarize != "none"

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        x = batch.permute(0, 3, 1, 2).float() / 255
        return model(torch.bernoulli(x) if binarizes else x)

    compute: Callable[[torch.Tensor], torch.Tensor] = (
        torch.compile(loss_of, dynamic=False) if compiled else loss_of
    )
    data = torch.from_numpy(images).to(device)
    return compute, optimizer, endless_batches(data, config.dataset.batch_size)


def likelihood_bound(
    config: Config, images: np.ndarray, name: str, threads: int, compiled: bool
) -> Contestant:
    """Images [N, H, W, C] of zeros and ones whose bound is computed."""
    torch.set_num_threads(threads)
    model = make_vae(config, images)
    if compiled:
        model.log_weights = torch.compile(model.log_weights, dynamic=False)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).float()

    @torch.no_grad()
    def run(count: int) -> None:
        for i in range(count):
            x = data[i % len(data)][None]
            model.importance_bound(x, config.evaluate.bounds.importance_samples).item()

    return Contestant(name, run)


def products(side: int, threads: int) -> Contestant:
    """Products of two square matrices."""
    torch.set_num_threads(threads)
    square = torch.ones(side, side)

    def run(count: int) -> None:
        for _ in range(count):
            torch.mm(square, square)

    return Contestant("torch", run)


def endless_batches(images: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Yields batches of images [N, ...], each epoch in another order."""
    while True:
        order = torch.randperm(len(images), device=images.device)
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
