"""Images of bars across and down, each there or not independently of the others.

References:
  Foldiak 1990, Forming sparse representations by local anti-Hebbian learning
  (Biological Cybernetics 64).
"""

import numpy as np

from vae.data.splits import Split, first_are_test

SIDE, COUNT, TEST = 8, 10_000, 2_000
PROBABILITY = 1 / SIDE  # of each bar: one of each direction in the mean


def bars() -> tuple[Split, Split]:
    """Returns train and test images [N, 8, 8, 1], 0 or 255, always the same."""
    random = np.random.default_rng(0)
    rows, columns = random.random((2, COUNT, SIDE)) < PROBABILITY
    on = rows[:, :, None] | columns[:, None, :]
    return first_are_test(Split(on[..., None] * np.uint8(255), None), TEST)
