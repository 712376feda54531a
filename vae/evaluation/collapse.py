"""Whether codes carry information: I(x; z), KL(q(z) || p(z)), sensitivity, a verdict.

References:
  Hoffman & Johnson 2016, ELBO surgery (NIPS workshop on approximate inference), eq. 5
  to 8: rate = I(x; z) + KL(q(z) || p(z)). Burda et al. 2015, arXiv 1509.00519, sec.
  5.1, for active units. Lucas et al. 2019, arXiv 1911.02469, for collapse.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.types import Distribution

ACTIVE_VARIANCE = 0.01  # of a posterior mean over images: above it a unit is active
COLLAPSED_RATE = 0.1  # nats; below it codes say nothing of images
SETTLED = 1_000  # steps; before, codes that say nothing are no news
STANDARD_ERRORS = 3  # by which an estimated variance must be above
ROWS = 8  # codes whose density under all posteriors is computed at once

WARM_UP = "warm-up (objective.annealing=linear)"
CYCLICAL = "cyclical warm-up (objective.annealing=cyclical)"
FREE_BITS = "free bits (objective.name=free_bits)"
LEARNED_VARIANCE = "a learned variance (model.likelihood.name=gaussian_optimal)"
LOWER_BETA = "a lower objective.beta"
FEWER_CODES = "a smaller model.posterior.num_classes"
SPARE_CODES = 0.5  # share of codes in use below which a codebook is partly collapsed
REMEDIES = {
    "healthy": (),
    "partly collapsed": (WARM_UP, CYCLICAL, FREE_BITS),
    "over-regularised": (LOWER_BETA, LEARNED_VARIANCE),
    "collapsed": (WARM_UP, CYCLICAL, FREE_BITS, LEARNED_VARIANCE, LOWER_BETA),
}


class Verdict(NamedTuple):
    """How a latent space is used, why one may say so, and what may help."""

    name: str  # a key of `REMEDIES`
    reason: str
    remedies: tuple[str, ...]
    steps: int = SETTLED  # of the training

    def __str__(self) -> str:
        early = f"after {self.steps} steps only, " if self.steps < SETTLED else ""
        advice = f"; may help: {', '.join(self.remedies)}" if self.remedies else ""
        return f"{early}{self.name}: {self.reason}{advice}"


def is_active(mean_variance: np.ndarray, error: np.ndarray | float) -> np.ndarray:
    """Says whether each dimension [D] is active: the variance of its posterior mean
    over images is above 0.01. An estimated variance must be above by three standard
    errors.

    Args:
      mean_variance: of the posterior means over images [D].
      error: its standard error [D]; 0 where the means are known.

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5.1.
    """
    return mean_variance - STANDARD_ERRORS * error > ACTIVE_VARIANCE


def judge(
    rate: float,
    mean_variance: np.ndarray,
    code_variance: np.ndarray,
    variance_error: np.ndarray | float = 0.0,
    *,
    beta: float = 1.0,
    has_fixed_variance: bool = True,
    excluded: Sequence[str] = (),
    steps: int = SETTLED,
) -> Verdict:
    """Returns the verdict on a latent space.

    It is collapsed if its rate is below 0.1 nats or no dimension is active;
    over-regularised if in most of the active ones noise outweighs signal, which is to
    say that the posterior means vary less than codes do around them; partly collapsed
    if some dimensions are not active, which spare ones need not be.

    Args:
      rate: the mean KL(q(z | x) || p(z)), in nats.
      mean_variance: of the posterior means over images [D].
      code_variance: of codes drawn from the posteriors, over images [D].
      variance_error: see `is_active`.
      beta, has_fixed_variance, excluded: see `remedies`.
      steps: of the training.
    """
    active = is_active(mean_variance, variance_error)
    count, dimensions = int(active.sum()), len(active)
    signal = mean_variance[active] / code_variance[active]
    of_all = f"{count} of {dimensions}"
    drowned = int((signal < 0.5).sum())
    if rate < COLLAPSED_RATE or not count:
        name = "collapsed"
        reason = f"the rate is {rate:.2f} nats, and {of_all}"
    elif 2 * drowned > count:
        name = "over-regularised"
        reason = f"noise outweighs signal in {drowned} units, and {of_all}"
    else:
        name = "healthy" if count == dimensions else "partly collapsed"
        reason = of_all
    advice = remedies(
        name, beta=beta, has_fixed_variance=has_fixed_variance, excluded=excluded
    )
    return Verdict(name, f"{reason} are active", advice, steps)


def judge_groups(
    rates: Sequence[float],
    mean_variance: np.ndarray,
    code_variance: np.ndarray,
    variance_error: np.ndarray,
    sizes: Sequence[int],
    are_divergences: Sequence[bool],
    **training: Any,
) -> Verdict:
    """Returns the verdict on groups of latent variables: that on all of them together,
    unless some, but not all, are collapsed.

    Args:
      rates: of each group, in nats.
      mean_variance: of the posterior means over images [D], of all groups side by side.
      code_variance: of codes drawn from the posteriors, over images [D].
      variance_error: see `is_active` [D].
      sizes: of the groups.
      are_divergences: whether the rate of each group is a KL divergence; otherwise the
        group is judged by its active units alone.
      **training: as `judge` takes it.
    """
    estimates = mean_variance, code_variance, variance_error
    together = judge(sum(rates), *estimates, **training)
    if len(rates) == 1:
        return together
    cuts = np.cumsum(sizes)[:-1]
    judged = np.where(are_divergences, rates, np.inf)
    parts = (np.split(estimate, cuts) for estimate in estimates)
    per_group = zip(judged, *parts, strict=True)
    unused = [
        number
        for number, group in enumerate(per_group, 1)
        if judge(*group).name == "collapsed"
    ]
    if not unused or together.name == "collapsed":
        return together
    which = ", ".join(map(str, unused))
    known = {key: value for key, value in training.items() if key != "steps"}
    advice = remedies("partly collapsed", **known)
    return together._replace(
        name="partly collapsed",
        reason=f"unused of {len(rates)} groups: {which} (1 is next to the data); "
        f"{together.reason}",
        remedies=advice,
    )


class CodeUse(NamedTuple):
    """How discrete codes are used."""

    used: float  # how many are chosen at all
    perplexity: float  # how many would be as uncertain if all were chosen alike
    verdict: Verdict


def judge_codes(counts: np.ndarray, *, steps: int = SETTLED) -> CodeUse:
    """Returns how discrete codes are used, and the verdict on it: collapsed if hardly
    more than one is chosen, partly collapsed if less than half of them are.

    Args:
      counts: how often each code is chosen [P, C]: at each position, or [1, C] where
        all positions share a codebook. Numbers are means over positions.
      steps: of the training.
    """
    share = counts / counts.sum(axis=1, keepdims=True)
    nats = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1)
    used = float((counts > 0).sum(axis=1).mean())
    perplexity = float(np.exp(nats).mean())
    classes = counts.shape[1]
    most = min(classes, counts.sum(axis=1).min())  # few images use few codes
    name = "healthy"
    if used < SPARE_CODES * most:
        name = "partly collapsed"
    if perplexity < 1.1:
        name = "collapsed"
    reason = f"{used:.3g} of {classes} codes are used, with perplexity {perplexity:.1f}"
    advice = () if name == "healthy" else (FEWER_CODES,)
    return CodeUse(used, perplexity, Verdict(name, reason, advice, steps))


def remedies(
    name: str,
    *,
    beta: float = 1.0,
    has_fixed_variance: bool = True,
    excluded: Sequence[str] = (),
) -> tuple[str, ...]:
    """Returns what may help against a verdict of this name: first a lower beta if it is
    above 1, a learned variance only where that of pixels is fixed, and nothing that is
    excluded."""
    unfit = {*excluded, *(() if has_fixed_variance else (LEARNED_VARIANCE,))}
    fitting = [remedy for remedy in REMEDIES[name] if remedy not in unfit]
    if beta > 1:
        fitting.sort(key=lambda remedy: remedy != LOWER_BETA)
    return tuple(fitting)


def aggregate_log_prob(posterior: Distribution, z: jax.Array) -> jax.Array:
    """Returns log q(z) [M] in nats of codes [M, D], where q(z) is the mean of the
    posteriors, batch shape [N]."""

    def of_one(code: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(posterior.log_prob(code))

    (count,) = posterior.batch_shape
    return jax.lax.map(of_one, z, batch_size=ROWS) - jnp.log(count)


def information(
    posterior: Distribution, prior: Distribution, z: jax.Array, log_q: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns I(x; z) and KL(q(z) || p(z)) in nats, for x one of N images.

    The first is estimated by a code of each image, and is at most log N; so q(z) is the
    mixture of these images' posteriors, and the second is large if they are few.

    Args:
      posterior: q(z | x), batch shape [N].
      prior: p(z).
      z: a code of each image [N, D].
      log_q: log q(z | x) of these codes [N].
    """
    log_aggregate = aggregate_log_prob(posterior, z)
    log_prior = prior.log_prob(z)
    return (log_q - log_aggregate).mean(), (log_aggregate - log_prior).mean()


def decoder_sensitivity(
    decode: Callable[[jax.Array], jax.Array], z: jax.Array
) -> jax.Array:
    """Returns for each dimension [D] how far images move as it does.

    It is the norm of the derivative of the mean image by z_d, as root mean square over
    codes z [N, D]: zero of a dimension that `decode`, [N, D] -> [N, ...], ignores.
    """

    def squared_norm(direction: jax.Array) -> jax.Array:
        tangent = jnp.broadcast_to(direction, z.shape)
        derivative = jax.jvp(decode, (z,), (tangent,))[1]
        return (derivative**2).sum() / len(z)

    return jnp.sqrt(jax.lax.map(squared_norm, jnp.eye(z.shape[-1], dtype=z.dtype)))
