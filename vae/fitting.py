"""Training on arrays, without a configuration or a folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int, Shaped

from vae.bind import (
    Entry,
    Method,
    as_json,
    bind,
    bind_method,
    default_of,
    entry_of,
    parameters_of,
)
from vae.data import scaling
from vae.data.given import check_label
from vae.data.preprocess import make_preprocess, to_unit
from vae.data.splits import Split
from vae.fields import fields_of
from vae.fitted import FittedVAE
from vae.models.base import Model
from vae.objectives.base import make_penalized
from vae.registry import OBJECTIVES
from vae.training.averaging import with_average
from vae.training.loop import Diverged
from vae.training.optimizer import by_part
from vae.training.state import (
    NORMS,
    create_train_state,
    first_nonfinite,
    read_totals,
    zero_totals,
)
from vae.training.step import (
    make_batch,
    make_resident_call,
    make_run_step,
    make_train_step,
)
from vae.types import Array, Objective, Unsupported, UserError, one_of


class Criterion(NamedTuple):
    """An objective that waits for its model.

    Calling it with a model, and the number of training examples if the objective
    depends on that, returns an `Objective`.
    """

    build: Callable[..., Objective]
    hparams: dict[str, jax.Array]  # its traced numbers, for `Objective.loss`
    optimizer: Callable[[], optax.GradientTransformation] | None  # of its own params

    def __call__(self, model: Model, dataset_size: int = 0) -> Objective:
        return self.build(
            model=model,
            code_dim=model.code_dim,
            dataset_size=dataset_size,
            axis_name=None,
        )


def objective(method: str | Method, **numbers: Any) -> Criterion:
    """Returns a training criterion.

    Args:
      method: a name of `vae.OBJECTIVES`, such as "beta_vae"; or a penalty, a function
        (inference, terms, moment, **numbers) -> (what is added to the distortion in
        nats, metrics), such as `vae.objectives.elbo.beta_vae`.
      **numbers: its fields, such as beta=4.0; the others have their defaults.

    Raises:
      UserError: the name or a number is unknown, or a number is out of range.
    """
    if isinstance(method, str):
        menu, name = OBJECTIVES, method
    else:
        own = {n: numbers.pop(n) for n in [*numbers] if n not in fields_of(method)}
        bound = partial(method, **own) if own else method
        menu, name = {"penalty": Entry(make_penalized, {"penalty": bound})}, "penalty"
    chosen = [entry_of(menu[name])] if name in menu else []
    defaults = parameters_of(*(m for entry in chosen for m in entry.methods))
    group = {field: as_json(default_of(p)) for field, p in defaults.items()}
    binding = bind("objective", {**group, **numbers, "name": name}, menu)
    hparams = {n: jnp.asarray(v, jnp.float32) for n, v in binding.traced.items()}
    return Criterion(binding.build, hparams, binding.entry.optimizer)


def fit(
    model: Model,
    objective: Criterion,
    x: Shaped[Array, "..."],
    *,
    steps: int,
    label: Int[Array, " N"] | None = None,
    binarize: bool = False,
    scale: str = "none",
    optimizer: optax.GradientTransformation | None = None,
    ema_decay: float = 0.0,
    batch_size: int = 100,
    seed: int = 0,
    log_every: int = 500,
    on_log: Callable[[int, dict[str, float]], None] = lambda step, metrics: None,
) -> FittedVAE:
    """Trains a model on images x [N, H, W, C] or vectors [N, D] that fit in the
    device's memory.

    Args:
      model: such as `vae.VAE(...)`.
      objective: such as `vae.objective("beta_vae", beta=4.0)`.
      x: images as bytes in 0..255, which are divided by 255, or floats; vectors of any
        numbers, which are taken as they are; or bool.
      steps: how many minibatches.
      label: integers [N], for conditional models.
      binarize: whether each look at an image draws its pixels as 0 or 1.
      scale: of vectors: "standardize", "robust" or "log1p", fitted to x; the model that
        is returned takes and gives vectors in the units of x.
      optimizer: of the model's parameters; `optax.adam(1e-3)` if None.
      ema_decay: in [0, 1): if not 0, the model that is returned has an exponential
        moving average of the weights of all steps (Polyak & Juditsky 1992).
      batch_size: examples in a minibatch.
      seed: of every random number.
      log_every: steps between two entries of `history`.
      on_log: called with each entry, such as `print`.

    Raises:
      UserError: the data do not fit the model or the batch size; a number is out of
        range.
      Unsupported: the objective cannot work with the model.
      Diverged: a metric became nan or infinite.
    """
    images, fitted = _as_stored(np.asarray(x)), None
    if one_of("scale", scale, scaling.SCALINGS) != "none":
        if images.ndim != 2 or images.dtype == np.uint8:
            raise UserError(f"scale={scale} is for vectors of numbers [N, D]")
        fitted = scaling.fit(scale, images)
        images = scaling.scale_rows(images, fitted, "examples x")
    if binarize and (fitted is not None or model.observed_only):
        why = "scaled" if fitted is not None else "missing"
        raise UserError(
            f"binarize=True cannot draw {why} values as 0 or 1: leave it out"
        )
    _check(model, images, batch_size, binarize=binarize)
    if label is not None:
        _check_label(model, label, len(images))
    data = Split(images, None if label is None else np.asarray(label, np.int32))
    preprocess = make_preprocess("dynamic" if binarize else "none", jnp.float32)
    with _naming_objective():
        built = objective(model, len(images))
    of_model = optax.adam(1e-3) if optimizer is None else optimizer
    own = objective.optimizer
    tx = bind_method("", {"ema_decay": ema_decay}, with_average)(
        by_part(of_model, of_model if own is None else own())
    )

    @jax.jit
    def initialize(data: Split) -> Any:
        positions = jnp.arange(batch_size, dtype=jnp.int32)
        batch = make_batch(data, preprocess, positions, seed, 0)
        state = create_train_state(
            seed, batch, wide=(model, built), tx=tx, hparams=objective.hparams
        )
        key = jax.random.key(0)
        _, metrics = jax.eval_shape(
            built.loss, state.params, batch, key, state.hparams, state.step
        )
        return state, zero_totals((*metrics, *NORMS), jnp.float32)

    run_step = make_run_step(
        make_train_step(built, tx),
        preprocess,
        lambda step: (step % log_every == 0) | (step == steps),
    )
    call = jax.jit(
        make_resident_call(
            run_step, steps_per_epoch=len(images) // batch_size, batch_size=batch_size
        ),
        donate_argnums=0,
    )
    with _naming_objective():
        state, empty = initialize(data[:batch_size])
    data, positions = jax.device_put((data, np.arange(batch_size, dtype=np.int32)))
    history = []
    for start in range(0, steps, log_every):
        end = min(start + log_every, steps)
        totals = jax.tree.map(jnp.copy, empty)
        state, totals = call((state, totals), data, positions, np.int32(end - start))
        if found := first_nonfinite(totals):
            raise Diverged(*found, None, "try a smaller learning rate")
        metrics = read_totals(totals)
        history.append({"step": end, **metrics})
        on_log(end, metrics)
    return FittedVAE(
        model,
        (state.averaged or state).variables,
        event_shape=images.shape[1:],
        dtype=images.dtype,
        preprocess=preprocess,
        scaling=fitted,
        history=history,
    )


@contextmanager
def _naming_objective() -> Iterator[None]:
    """Names the objective in the message if it is the objective that cannot work.

    Raises:
      Unsupported: it cannot, or a part of the model cannot.
    """
    try:
        yield
    except Unsupported as error:
        raise Unsupported(error.message, error.part or "objective") from error


def _as_stored(x: np.ndarray) -> np.ndarray:
    """Returns bool as bytes 0 and 255, bytes of images as they are, and other numbers
    as float32: as `data.arrays` reads them.

    Raises:
      UserError: images are integers that are not bytes.
    """
    if x.ndim == 4 and np.issubdtype(x.dtype, np.integer) and x.dtype != np.uint8:
        raise UserError(f"x is {x.dtype}: give images as bytes (uint8), bool or floats")
    if x.dtype == bool:
        return x.astype(np.uint8) * np.uint8(255)
    return x if x.dtype == np.uint8 and x.ndim == 4 else x.astype(np.float32)


def _check(
    model: Model, images: np.ndarray, batch_size: int, *, binarize: bool
) -> None:
    if images.ndim not in (2, 4):
        shape = list(images.shape)
        raise UserError(f"x must be [N, H, W, C] or [N, D], but is {shape}")
    if not 0 < batch_size <= len(images):
        raise UserError(f"batch_size={batch_size} must be 1 to {len(images)} (len(x))")
    pixels = to_unit(images)
    likelihood, given, supports = model.likelihood, pixels, model.likelihood.supports
    if model.observed_only:
        given, supports = pixels[~np.isnan(pixels)], likelihood.supports_observed
    low, high = given.min(), given.max()
    if binarize and not 0 <= low <= high <= 1:
        raise UserError(f"binarize needs pixels in [0, 1]: x has {low:.4g}..{high:.4g}")
    if not binarize and not supports(pixels):
        advice = likelihood.advice and f": {likelihood.advice}"
        raise UserError(
            f"the likelihood is a density over {likelihood.support}, but x has "
            f"values between {low:.4g} and {high:.4g}{advice}"
            + ": binarize=True draws each as 0 or 1"
            * likelihood.is_binary()
        )
    made = jax.eval_shape(lambda: _likelihood_of(model, images[:1]))
    if made.event_shape != images.shape[1:]:
        *sides, channels = images.shape[1:]
        try:
            needed = [*sides, model.likelihood.num_features(channels)]
        except Unsupported as error:
            raise UserError(f"the likelihood {error.message}") from error
        raise UserError(
            f"the model is of examples {list(made.event_shape)}, and those of x are "
            f"{list(images.shape[1:])}: set the decoder's event_shape to {needed}"
        )


def _check_label(model: Model, label: Any, count: int) -> None:
    if np.shape(label) != (count,):
        shape = list(np.shape(label))
        raise UserError(f"label must be [{count}], as x has so many, but is {shape}")
    try:
        check_label(label, model.num_labels)
    except ValueError as error:
        raise UserError(str(error)) from error


def _likelihood_of(model: Model, x: np.ndarray) -> Any:
    """Returns p(x | z) of a model that begins, of one example."""
    keys, label = jax.random.split(jax.random.key(0), 1), jnp.zeros(1, jnp.int32)
    given = jnp.asarray(x, jnp.float32), keys
    label = None if model.num_labels is None else label
    module: Any = model
    return module.init_with_output(keys[0], *given, label=label)[0].likelihood
