"""Splits the data sets of ADBench as the table `configs/papers/adbench.py` reads them.

    python examples/prepare_adbench.py FOLDER_OF_ADBENCH [adbench]

Each NAME.npz, with X [N, D] and y [N] (1: anomaly), becomes NAME.npz in the folder
`adbench`: a random half of the normal rows, at most 10,000, is train; of the other half
and all anomalies at most 10,000 are test (Livernoche et al. 2024, arXiv 2305.18593).
"""

import sys
from pathlib import Path

import numpy as np

MOST = 10_000  # rows of train, and of test


def split(x: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns train and test of rows x [N, D] with labels y [N], 1 for anomalies."""
    random = np.random.default_rng(seed)
    normal, anomalies = (np.flatnonzero(y == label) for label in (0, 1))
    normal = random.permutation(normal)
    half = len(normal) // 2
    train, test = normal[:half][:MOST], np.concatenate([normal[half:], anomalies])
    test = random.permutation(test)[:MOST]
    return {
        "x_train": x[train].astype(np.float32),
        "y_train": y[train].astype(np.int32),
        "x_test": x[test].astype(np.float32),
        "y_test": y[test].astype(np.int32),
    }


def main(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in sorted(source.glob("*.npz")):
        with np.load(path) as file:
            np.savez_compressed(target / path.name, **split(file["X"], file["y"]))
        print(f"{target / path.name} written")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "adbench"))
