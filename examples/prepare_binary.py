"""Joins the files of each binary data set, for the table
`configs/papers/binary_densities.py`.

    python examples/prepare_binary.py Density-Estimation-Datasets/datasets [binary]

Each folder NAME of github.com/UCLA-StarAI/Density-Estimation-Datasets, with
NAME.train.data, NAME.valid.data and NAME.test.data, becomes NAME.npz in the folder
`binary`. The validation rows come last in x_train, where `dataset.validation_size` cuts
them off.
"""

import sys
from pathlib import Path

import numpy as np

NAMES = (
    *("accidents", "baudio", "bbc", "bnetflix", "dna"),
    *("moviereview", "mushrooms", "nips", "pumsb_star", "voting"),
)


def join(folder: Path) -> dict[str, np.ndarray]:
    """Returns train, validation rows at its end, and test of the set in a folder."""
    train, valid, test = (
        np.loadtxt(folder / f"{folder.name}.{part}.data", np.uint8, delimiter=",")
        for part in ("train", "valid", "test")
    )
    return {"x_train": np.concatenate([train, valid]) > 0, "x_test": test > 0}


def main(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in NAMES:
        np.savez_compressed(target / f"{name}.npz", **join(source / name))
        print(f"{target / name}.npz written")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "binary"))
