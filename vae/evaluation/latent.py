"""How the latent space is used."""

from vae.types import Array

ACTIVE_VARIANCE = 0.01


def active_units(posterior_means: Array, error: Array) -> int:
    """Counts the dimensions whose posterior mean varies over the data by more than
    0.01 (its variance), from posterior means [N, D] and the variance of their error
    [N, D], which is taken off.

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5.1.
    """
    variance = posterior_means.var(axis=0) - error.mean(axis=0)
    return int((variance > ACTIVE_VARIANCE).sum())
