"""Collects tables that are worth keeping, and writes all of them into one file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments import table_plots, tables, workdir
from experiments.terminal import say
from vae.types import UserError

HERE = Path(__file__).parent
PREFACE = """# Results

Written by `python launch.py --experiment=collect`, and never by hand, from
`experiments/results/*/table.json`. Each table names its command and
its hardware. Speed has [its own table](results/benchmark/table.md).
"""


def run(folder: Path | None) -> None:
    """Writes `experiments/RESULTS.md`: every table under `experiments/results/`, which
    that of `folder`, the workdir of a reproduced table, joins or replaces.

    Raises:
      UserError: there is no table in the folder, or it has the name of other results,
        or this is no checkout.
    """
    if not (HERE / "results").is_dir():
        raise UserError(
            "--experiment=collect keeps tables in a checkout of the repository: launch "
            "it there, by python launch.py"
        )
    if folder is not None:
        table = _read(folder)
        kept = HERE.resolve() / "results" / folder.resolve().name
        if kept.exists() and not (kept / "table.png").exists():
            raise UserError(
                f"{HERE.name}/results/{kept.name} holds results of another kind: give "
                f"--workdir={folder} another name"
            )
        if missing := [row["name"] for row in table["rows"] if "missing" in row]:
            say(f"kept without the rows that are missing: {', '.join(missing)}")
        kept.mkdir(exist_ok=True)
        workdir.write_json(kept / "table.json", table)
        table_plots.draw(table, kept / "table.png")
    written = kept_tables()
    for place, table in written.items():
        workdir.write_text(place / "table.md", tables.as_markdown(table))
    workdir.write_text(HERE / "RESULTS.md", "\n".join(pages(written)))
    say(f"written to {HERE.name}/RESULTS.md")


def _read(folder: Path) -> dict[str, Any]:
    table = workdir.read_json(folder / "table.json")
    if not isinstance(table, dict) or "rows" not in table:
        raise UserError(
            f"--workdir={folder} holds no table: give the workdir of "
            "--experiment=reproduce"
        )
    return table


def kept_tables() -> dict[Path, Any]:
    """Returns the tables under `experiments/results/`, by folder."""
    found = {
        path.parent: workdir.read_json(path)
        for path in sorted(HERE.glob("results/*/table.json"))
    }
    # That of the benchmark has no rows.
    return {place: table for place, table in found.items() if "rows" in table}


def pages(written: Mapping[Path, Any]) -> Iterator[str]:
    yield PREFACE
    titles = {place: table["title"] for place, table in written.items()}
    for place, title in titles.items():
        yield f"- [{title}](#{place.name})"
    for place, title in titles.items():
        picture = f"results/{place.name}/table.png"
        yield f'\n<a id="{place.name}"></a>\n\n## {title}\n'
        yield tables.as_markdown(written[place])
        yield f"![{title}]({picture})\n"
