"""How the latent space is used."""

from vae.types import Array

ACTIVE_VARIANCE = 0.01


def variance_of_means(posterior_means: Array, error: Array) -> Array:
    """Returns the variance over images [D] of posterior means [N, D], less that of
    their error [N, D]."""
    return posterior_means.var(axis=0) - error.mean(axis=0)


def active_units(variance: Array) -> int:
    """Counts the dimensions whose posterior mean has a variance over 0.01, of
    variances [D].

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5.1.
    """
    return int((variance > ACTIVE_VARIANCE).sum())
