import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import failures, members, origin, reproduce, train, workdir
from experiments.flags import Chosen
from experiments.hints import Refused
from experiments.launches import Reproduce
from experiments.table_plan import check_plan
from tests.conftest import ROOT
from tests.experiments.test_cells import cells_of
from tests.experiments.test_table_plan import plan_of
from vae.training.loop import Interrupted
from vae.types import UserError


def table():
    rows = [
        {
            "name": "VAE",
            "group": "objective",
            "overrides": {},
            "published": {"NLL": 1.0},
        },
        {
            "name": "on the sphere",
            "group": "posterior",
            "overrides": {"model.posterior.name": "von_mises_fisher"},
        },
        {
            "name": "misspelt",
            "group": "posterior",
            "overrides": {"model.posteriors.name": "iaf"},
        },
    ]
    return {
        "seeds": (0, 1),
        "columns": {"images": "test/images"},
        "rows": rows,
        "tolerance": {"NLL": 0.5},
    }


@pytest.mark.slow
def test_rows_stand_whatever_befalls_the_others(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reproduce.run(small_config, table, tmp_path)
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    results = rows[0]["results"]
    assert [r["train/steps"] for r in results] == [20, 20]
    nll = [r["test/nll_is3_nats"] for r in results]
    assert nll[0] != nll[1]  # the seeds differ
    assert "choose uniform_on_sphere" in rows[1]["missing"]
    assert "posteriors" in rows[2]["missing"]
    text = (tmp_path / "table.md").read_text()
    off = f"{np.mean(nll) - 1:+.2f}, not within 0.5"
    shown = f"{np.mean(nll):.2f} +- {abs(nll[0] - nll[1]) / 2:.2f}"
    assert f"| VAE | {shown} | 1 | {off} |" in text
    assert "| on the sphere | missing: the cell model.posterior.name" in text
    assert "| active units | images | KL per dimension" in text
    assert re.search(r"\| VAE \|.* \| 500 \+- 0 \|.*\d\.\d\d \|\n", text)
    with Image.open(tmp_path / "table.png") as picture:
        assert picture.width > 600
    # Launched again, it shows what is there and trains nothing.
    monkeypatch.setattr(train, "_train", lambda *_: pytest.fail("trained again"))
    reproduce.run(small_config, table, tmp_path)
    assert (tmp_path / "table.md").read_text() == text


@pytest.mark.slow
def test_a_table_says_how_far_its_rows_are(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.runtime.steps_per_call = 5
    with monkeypatch.context() as patch:
        patch.setattr(train, "_make_should_stop", lambda stop: lambda step: step >= 10)
        with pytest.raises(Interrupted):
            reproduce.run(small_config, table, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| VAE | missing: seed 0: saved at step 10 of 20 |" in text
    reproduce.run(small_config, table, tmp_path)
    assert "saved at" not in (tmp_path / "table.md").read_text()


@pytest.mark.slow
def test_a_row_whose_folder_is_in_use_is_marked_with_the_reason(
    small_config, tmp_path: Path
) -> None:
    names = (
        {"name": str(beta), "overrides": {"objective.beta": beta}}
        for beta in (1.0, 4.0)
    )
    plan = {"seeds": (0,), "rows": [*names]}
    cell, _ = cells_of(small_config, "objective.beta=1,4")
    with workdir.locked(members.folder_of(cell, tmp_path)):
        reproduce.run(small_config, lambda: plan, tmp_path)
    in_use, done = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert re.match("seed 0: .* is in use by another process", in_use["missing"])
    assert "values" in done


@pytest.mark.slow
def test_a_row_that_is_done_stands_without_its_data(
    small_config, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    np.savez(tmp_path / "images.npz", x_train=images, x_test=images)
    small_config.dataset.name = f"npz:{tmp_path}/images.npz"
    rows = [{"name": "done", "overrides": {}}]
    plan = {"seeds": (0,), "rows": rows}
    reproduce.run(small_config, lambda: plan, tmp_path / "table")
    (tmp_path / "images.npz").unlink()
    (path,) = tmp_path.glob("table/members/*/provenance.json")
    provenance = json.loads(path.read_text())
    assert provenance["launches"][0]["machine"] == origin.machine()
    provenance["launches"][0]["machine"] = "8 cores of another"
    path.write_text(json.dumps(provenance))
    rows.append({"name": "late", "overrides": {"objective.beta": 2.0}})
    reproduce.run(small_config, lambda: plan, tmp_path / "table")
    written = json.loads((tmp_path / "table/table.json").read_text())
    done, late = written["rows"]
    assert "values" in done and written["machine"] == "8 cores of another"
    assert "images.npz" in late["missing"]


@pytest.mark.parametrize(
    ("steps", "row", "is_shown"),
    [
        (20, {}, True),
        (30, {}, False),  # the notes speak of 20 steps
        (20, {"missing": "diverged"}, False),
    ],
)
def test_notes_stand_under_the_run_that_they_speak_of(
    small_config, steps: int, row: dict[str, Any], is_shown: bool
) -> None:
    own = small_config.copy_and_resolve_references()
    small_config.train.steps = steps
    small_config.runtime.num_devices, small_config.runtime.data_dir = 2, "elsewhere"
    changed = reproduce._changes(small_config, own)
    assert changed == ({} if steps == 20 else {"train.steps": [30, 20]})
    result = {"train/seconds": 1.0}
    rows = [{"name": "a", "group": "row", "results": [result], "commits": []} | row]
    rows[0] |= {"machines": ["2 cores"]} if "results" in rows[0] else {}
    plan = check_plan(plan_of(notes="Better than the paper's."))
    written = reproduce._gather(plan, rows, small_config, changed)
    assert ("notes" in written) == is_shown
    assert written.get("changed", {}) == changed
    assert written["machine"] == "2 cores"


def test_a_table_without_a_row_that_can_be_done_says_so(
    small_config, tmp_path: Path
) -> None:
    rows = [{"name": "a", "overrides": {"objective.betta": 1.0}}]
    reproduce.run(small_config, lambda: {"seeds": (0,), "rows": rows}, tmp_path)
    assert "missing: the config has no field" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.png").exists()


def test_a_malformed_table_is_refused_before_any_training(
    small_config, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="a seed and a row"):
        reproduce.run(small_config, lambda: plan_of(rows=[]), tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_a_table_that_fails_is_the_users_to_mend(small_config, tmp_path: Path) -> None:
    text = (ROOT / "configs/quickstart.py").read_text()
    (tmp_path / "broken.py").write_text(f"{text}\n\ndef table():\n    return 1 / 0\n")
    chosen = Chosen(small_config, str(tmp_path / "broken.py"))
    asked = Reproduce(config=chosen, workdir=tmp_path / "table")
    with pytest.raises(Refused, match=r"broken.py failed \(ZeroDivisionError") as told:
        asked.launch()
    assert failures.explain(told.value, None) == (2, str(told.value))
    assert "\n" not in str(told.value)


def test_a_column_may_be_an_entry_of_a_list() -> None:
    results = {"units": [3, 1], "rate": 2.5, "name": "chain"}
    names = ("units[0]", "units[1]", "units[2]", "units", "rate", "rate[0]", "name")
    found = [reproduce._numbers([results, results], name) for name in names]
    assert found == [[3, 3], [1, 1], [], [], [2.5, 2.5], [], []]


def test_the_mean_row_has_entries_of_lists() -> None:
    rows = [
        {"name": name, "results": [{"units": [3, units], "nll": 2.0}] * 2}
        for name, units in (("a", 1), ("b", 5))
    ]
    names = {"units 2": "units[1]", "NLL": "nll", "missing": "other"}
    values = reproduce._mean_row("row", rows, names)["values"]
    assert {title: value["mean"] for title, value in values.items()} == {
        "units 2": 3.0,
        "NLL": 2.0,
    }
