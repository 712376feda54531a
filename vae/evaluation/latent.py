"""How the latent space is used."""

from vae.types import Array

ACTIVE_VARIANCE = 0.01


def active_units(posterior_means: Array) -> int:
    """Counts the dimensions whose posterior mean varies over the data by more than
    0.01 (its variance), from posterior means [N, D].

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5.1.
    """
    return int((posterior_means.var(axis=0) > ACTIVE_VARIANCE).sum())
