"""The scores of a trained model: of its codes of all images that the factors make."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae import rng
from vae.data.factors import factors_at, index_of, num_images
from vae.data.splits import evenly_spaced
from vae.evaluation.base import Preprocess, Subject, Trained, map_batches
from vae.fields import Natural
from vae.models.base import Model
from vae.types import Params

BATCH = 512  # images encoded at once
COMPARED = 2_000  # test images by whose codes models are compared


def applies(subject: Subject, *, points: int) -> str | None:
    if subject.factors is None:
        return "needs data whose factors are known: sprites, dsprites, ..."
    most = max(subject.factors.sizes)
    if points < 2 * most:
        return (
            f"asks for {points} points, and half as many to test, which cannot show "
            f"the {most} values of a factor"
        )
    if subject.binarize in ("static", "threshold"):
        return f"scores images as they are stored, not binarize={subject.binarize}"
    if subject.keep_labels:
        return "scores images of all factors, but some labels only are kept"
    if subject.latent_dim < 2:
        return "compares dimensions of the code, but there is one"
    if not subject.model.encodes_to_means:
        return "scores posterior means of a diagonal Gaussian, of images without labels"
    return None


def run(trained: Trained, *, points: Natural = 0) -> dict[str, Any]:
    """Returns `disentanglement/...` (see `scores`), and `codes`, by which models are
    compared: the posterior means [N, D] of test images evenly spaced."""
    # scikit-learn takes a second to import
    from vae.evaluation.disentanglement.scores import Protocol, score_all

    table = CodeTable(trained)
    scores = score_all(
        table.means,
        table.source,
        seed=int(trained.seed),
        draw=table.draw,
        protocol=Protocol(num_train=points, num_test=points // 2),
    )
    _, codes = posterior_means(trained, COMPARED)
    return scores | {"disentanglement/points": points, "codes": codes}


class CodeTable:
    """The posterior means of a data set's images, by their factors, and codes drawn
    from the posteriors: each is computed once, when it is first asked for."""

    def __init__(self, trained: Trained):
        assert trained.subject.factors is not None, "see `applies`"
        self.source = trained.subject.factors
        self._trained, self._encode = trained, trained.compiled(make_encode)
        count = num_images(self.source)
        self._means = np.zeros((count, trained.subject.latent_dim), np.float32)
        self._drawn = np.zeros_like(self._means)
        self._known = np.zeros(count, bool)

    def means(self, factors: np.ndarray) -> np.ndarray:
        """Returns the posterior means [N, D] of the images of factors int [N, F]."""
        return self._means[self._look_up(factors)]

    def draw(self, factors: np.ndarray) -> np.ndarray:
        """Returns a code of each posterior: see `means`."""
        return self._drawn[self._look_up(factors)]

    def _look_up(self, factors: np.ndarray) -> np.ndarray:
        """Returns the places [N] of images in the table, where their codes now are."""
        index = index_of(self.source, factors)
        missing = np.unique(index[~self._known[index]])
        if len(missing):
            found = map_batches(self._codes, missing, BATCH, self._trained.on_batch)
            self._means[missing], self._drawn[missing] = found
            self._known[missing] = True
        return index

    def _codes(self, places: np.ndarray) -> list[np.ndarray]:
        stored: Any = self.source.stored(factors_at(self.source, places))
        given = self._trained.variables, self._trained.seed
        _, *codes = self._encode(*given, stored, places)
        size = self._means.shape[-1]  # the rest of the latent space is padding
        return [np.asarray(of_kind)[:, :size] for of_kind in codes]


def posterior_means(trained: Trained, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` test images evenly spaced, or all if there are fewer, as the
    model sees them [N, H, W, C], and their posterior means [N, D]."""
    test = trained.subject.dataset.test
    places = evenly_spaced(test.size, min(count, test.size)).astype(np.int32)
    encode = trained.compiled(make_encode)
    x, means, _ = encode(trained.variables, trained.seed, test[places].images, places)
    return np.asarray(x, np.float32), np.asarray(means)[:, : trained.subject.latent_dim]


def make_encode(
    model: Model, preprocess: Preprocess
) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """Returns (variables, seed, stored images [B], places [B]) -> x, posterior means,
    and codes drawn from the posteriors, both as wide as the latent space is computed.

    What is drawn (colour, noise, binary pixels, codes) depends on the place only.
    """

    def encode(variables: Params, seed: jax.Array, stored: Any, places: jax.Array):
        keys = rng.per_example(rng.stream(seed, "codes"), places)
        x = preprocess(stored, keys)
        keys = rng.per_example(rng.stream(seed, "sampled_codes"), places)
        inference = model.apply(variables, x, keys)
        (group,) = inference.groups
        return x, group.posterior.mean, group.z[0]

    return encode
