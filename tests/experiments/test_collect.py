"""Tables that are kept, and the file that shows them."""

import importlib
import inspect
import json
import shutil
from pathlib import Path

import pytest

from experiments import collect, tables, workdir
from experiments.cells import override
from experiments.table_plan import ABOUT, check_plan, with_texts
from tests.experiments.test_tables import row, table_of
from vae.types import UserError


def test_a_table_joins_the_others_or_replaces_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(collect, "HERE", tmp_path / "experiments")
    (tmp_path / "experiments" / "results").mkdir(parents=True)
    for name, nll in (("iwae", 85.0), ("vamp", 84.0), ("iwae", 86.0)):
        folder = tmp_path / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        table = table_of(row("ours", nll), row("late", None, missing="killed"))
        table["title"] = f"The table of {name}"
        workdir.write_json(folder / "table.json", table)
        collect.run(folder)
        assert "the rows that are missing: late" in capsys.readouterr().out
    text = (tmp_path / "experiments" / "RESULTS.md").read_text()
    assert text.count("## The table of iwae\n") == 1
    assert text.index("The table of iwae") < text.index("The table of vamp")
    assert "| ours | 86.00 +- 0.25 |" in text
    assert "85.00" not in text
    assert (tmp_path / "experiments/results/vamp/table.png").exists()
    for again in (None, tmp_path / "experiments/results/vamp"):
        collect.run(again)
    assert (tmp_path / "experiments" / "RESULTS.md").read_text() == text


def test_results_of_another_kind_are_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "HERE", tmp_path / "experiments")
    (tmp_path / "experiments" / "results" / "latents").mkdir(parents=True)
    folder = tmp_path / "runs" / "latents"
    folder.mkdir(parents=True)
    workdir.write_json(folder / "table.json", table_of(row("ours", 1.0)))
    with pytest.raises(UserError, match="results of another kind"):
        collect.run(folder)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "holds no table"), ("[]", "holds no"), ("{", "JSON")]
)
def test_a_folder_without_a_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.setattr(collect, "HERE", tmp_path / "experiments")
    (tmp_path / "experiments" / "results").mkdir(parents=True)
    if text is not None:
        (tmp_path / "table.json").write_text(text)
    with pytest.raises(UserError, match=message):
        collect.run(tmp_path)
    assert [*(tmp_path / "experiments").rglob("*")] == [
        tmp_path / "experiments/results"
    ]


def test_the_results_are_those_of_the_tables() -> None:
    """What is committed was written by the command."""
    kept, written = collect.HERE / "RESULTS.md", collect.kept_tables()
    assert kept.read_text() == "\n".join(collect.pages(written))
    for place, table in written.items():
        assert (place / "table.md").read_text() == tables.as_markdown(table)


def test_kept_tables_are_those_of_their_configs() -> None:
    """A config that was changed since is to be run and collected again."""
    for place, table in collect.kept_tables().items():
        module = importlib.import_module(f"configs.papers.{place.name}")
        describe = module.table
        plan = describe("") if inspect.signature(describe).parameters else describe()
        config = module.get_config()
        plan = with_texts(check_plan(plan), config)
        plan["rows"] = [
            with_texts(row, override(config, row["overrides"])) for row in plan["rows"]
        ]
        plan = json.loads(json.dumps(plan))
        for key in ("seeds", *ABOUT):
            assert table.get(key) == plan.get(key), (place.name, key)
        kept = table["rows"][: len(plan["rows"])]  # maybe means are after them
        for described, row_kept in zip(plan["rows"], kept, strict=True):
            assert described.items() <= row_kept.items(), place.name
