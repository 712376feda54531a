"""Tables, flat results and matrices of images."""

from pathlib import Path

import numpy as np
from PIL import Image

from experiments.figures import Display
from experiments.latents.section import Section, Table, flatten, save_matrix, tabulate
from tests.experiments.latents.conftest import words


def test_nested_results_are_flat() -> None:
    nested = {"a b": {"r": 1.0, "none": {}}, "c": [2]}
    assert flatten("p q", nested) == {"p_q/a_b/r": 1.0, "p_q/c": [2]}


def test_rows_are_named() -> None:
    rows = {"one": {"a": 1.0, "b": 2.0}, "two": {"a": 3.0, "b": 4.0}}
    table = tabulate("kind", rows)
    assert table == Table(("kind", "a", "b"), [("one", 1.0, 2.0), ("two", 3.0, 4.0)])


def test_a_section_without_content_gives_its_reason() -> None:
    text = words("swapping", Section(left_out="no <dimension> is active."))
    assert text.endswith("Left out: no <dimension> is active.")


def test_a_matrix_has_a_line_after_its_heads(tmp_path: Path) -> None:
    path = tmp_path / "matrix.png"
    save_matrix(path, np.zeros((2, 3, 8, 8, 1)), Display(), heads=1)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"))
    middle = pixels.shape[0] // 2
    assert (pixels[middle - 2 : middle + 2] > 200).mean() > 0.9
    assert pixels[middle // 2, pixels.shape[1] // 2] == 0
