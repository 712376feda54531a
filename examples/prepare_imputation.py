"""Makes scikit-learn's small data sets with missing values, which the table
`configs/papers/imputation.py` reads.

    python examples/prepare_imputation.py [imputation]

Half of the values of the training rows are missing at random. Test rows, every fifth of
a random order, are whole: their values are hidden and compared.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn import datasets

NAMES = ("iris", "wine", "breast_cancer", "diabetes", "digits")
SHARE = 0.5


def remove(x: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns train, with half of its values missing, and test, of rows x [N, D].
    Columns that are constant are left out."""
    random = np.random.default_rng(seed)
    x = random.permutation(x[:, x.std(0) > 0]).astype(np.float32)
    is_test = np.arange(len(x)) % 5 == 4
    train = x[~is_test]
    is_missing = random.random(train.shape) < SHARE
    whole = is_missing.all(1)  # of each row one value is left
    is_missing[whole, random.integers(0, x.shape[1], whole.sum())] = False
    return {"x_train": np.where(is_missing, np.nan, train), "x_test": x[is_test]}


def main(target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in NAMES:
        x = getattr(datasets, f"load_{name}")().data
        np.savez_compressed(target / f"{name}.npz", **remove(x))
        print(f"{target / name}.npz written")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "imputation"))
