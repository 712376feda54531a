"""How far runs that differ in the seed agree on their codes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import workdir

CODES_FILE = "codes.npy"  # posterior means [N, D] of test images, in a run's folder


def score_agreement(folders: Sequence[Path]) -> list[dict[str, float]]:
    """Returns for each run `disentanglement/udr_...`: how far the others, of which all
    but the seed is the same, agree with it; nothing if there are no others, no codes or
    no KL per dimension.

    See `vae.evaluation.disentanglement.udr`.
    """
    divergences = [workdir.read_results(f).get("latent/kl_per_dim") for f in folders]
    has_codes = all((folder / CODES_FILE).exists() for folder in folders)
    if len(folders) < 2 or not has_codes or None in divergences:
        return [{} for _ in folders]
    from vae.evaluation.disentanglement.udr import udr_lasso, udr_spearman

    codes = np.stack([np.load(folder / CODES_FILE) for folder in folders])
    kl = np.array(divergences)
    pairs = zip(udr_lasso(codes, kl), udr_spearman(codes, kl), strict=True)
    return [
        {
            "disentanglement/udr_lasso": float(lasso),
            "disentanglement/udr_spearman": float(spearman),
        }
        for lasso, spearman in pairs
    ]
