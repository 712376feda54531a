"""Plots of tables of any rows."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments import table_plots
from tests.experiments.test_tables import row, table_of


@pytest.mark.parametrize("plane", [None, ["NLL", "rate"]])
def test_plots_have_every_row(tmp_path: Path, plane: list[str] | None) -> None:
    table = table_of(
        row(r"$\foo$ VAE", 87.0, published={"NLL": 86.76}), row("late", None)
    )
    table["rows"][0]["values"]["rate"] = {"mean": 20.0}
    table_plots.draw(
        table | ({"plane": plane} if plane else {}), tmp_path / "table.png"
    )
    with Image.open(tmp_path / "table.png") as picture:
        assert picture.width > 600


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": [row("late", None)]},
        {"rows": [row("VAE", float("nan")), row("IWAE", 85.0)]},
        {"rows": [row("VAE", float("nan"))], "plane": ["NLL", "NLL"]},
    ],
    ids=["no row", "nan", "nan in a plane"],
)
def test_tables_without_a_number_are_drawn(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    table_plots.draw(table_of() | changes, tmp_path / "table.png")
    with Image.open(tmp_path / "table.png") as picture:
        assert picture.width > 600


def test_columns_that_are_published_have_a_panel_each() -> None:
    published = {"NLL": 86.0, "rate": 20.0}
    rows = [row("VAE", 87.0, published=published), row("IWAE", 85.0, group="other")]
    figure = table_plots._dots(rows, ["NLL", "rate"], {"NLL": "nats"})
    panels = [axes.get_xlabel() for axes in figure.axes]
    assert panels == ["NLL (nats)", "rate"] * 2
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.texts} == {"ours", "published"}
