import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import members, reproduce, train, workdir
from tests.conftest import ROOT
from tests.experiments.test_cells import cells_of
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
    monkeypatch.setattr(train, "train_in", lambda *_: pytest.fail("trained again"))
    reproduce.run(small_config, table, tmp_path)
    assert (tmp_path / "table.md").read_text() == text


def test_a_table_says_how_far_its_rows_are(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.train.steps_per_call = 5
    with monkeypatch.context() as patch:
        patch.setattr(train, "_make_should_stop", lambda: lambda step: step >= 10)
        with pytest.raises(Interrupted):
            reproduce.run(small_config, table, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| VAE | missing: seed 0: saved at step 10 of 20 |" in text
    reproduce.run(small_config, table, tmp_path)
    assert "saved at" not in (tmp_path / "table.md").read_text()


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
    rows.append({"name": "late", "overrides": {"objective.beta": 2.0}})
    reproduce.run(small_config, lambda: plan, tmp_path / "table")
    done, late = json.loads((tmp_path / "table/table.json").read_text())["rows"]
    assert "values" in done
    assert "images.npz" in late["missing"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([{"name": "a", "overrides": {}}], "must return"),
        ({"seeds": (0,), "rows": [{"name": "a", "overides": {}}]}, "no 'overrides'"),
        ({"seeds": (0,), "rows": [{"name": "a", "overrides": ["b"]}]}, "must be as in"),
        ({"seeds": (0,), "rows": []}, "a seed and a row"),
        ({"seeds": 3, "rows": [{"name": "a", "overrides": {}}]}, "a seed and a row"),
        ({"seeds": ("a",), "rows": [{"name": "a", "overrides": {}}]}, "a whole number"),
        (
            {"seeds": (0,), "rows": [{"name": "a", "overrides": {}}], "tolerences": {}},
            "has 'tolerences', which nothing reads: choose from claims",
        ),
        (
            {
                "seeds": (0,),
                "rows": [{"name": "a", "overrides": {}, "published": {"NLL": "85"}}],
            },
            "a 'published' of '85': give a number",
        ),
        (
            {
                "seeds": (0,),
                "rows": [{"name": "a", "overrides": {}}] * 2,
            },
            "two rows of table",
        ),
        (
            {
                "seeds": (0,),
                "rows": [{"name": "a", "overrides": {}}],
                "claims": [{"says": "a < b", "column": "NLL", "order": ("a", "b")}],
            },
            "a row that the table does not have",
        ),
        (
            {
                "seeds": (0,),
                "rows": [{"name": "a", "overrides": {}}],
                "claims": [{"column": "NLL", "order": ("a",)}],
            },
            "must have says, column and order",
        ),
        (
            {
                "seeds": (0,),
                "rows": [{"name": "a", "overrides": {}, "published": {"ELBO": -105.0}}],
            },
            "a 'published' of 'ELBO', which is none of its columns",
        ),
    ],
)
def test_a_malformed_table_is_refused_before_any_training(
    small_config, tmp_path: Path, plan: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        reproduce.run(small_config, lambda: plan, tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_a_table_without_a_row_that_can_be_done_says_so(
    small_config, tmp_path: Path
) -> None:
    rows = [{"name": "a", "overrides": {"objective.betta": 1.0}}]
    reproduce.run(small_config, lambda: {"seeds": (0,), "rows": rows}, tmp_path)
    assert "missing: the config has no field" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.png").exists()


def test_a_table_that_fails_is_the_users_to_mend(launch, tmp_path: Path) -> None:
    text = (ROOT / "configs/quickstart.py").read_text()
    (tmp_path / "broken.py").write_text(f"{text}\n\ndef table():\n    return 1 / 0\n")
    done = launch("--experiment=reproduce", "--config=broken.py:smoke")
    assert done.returncode == 2
    assert "table() of broken.py failed (ZeroDivisionError" in done.stderr
    assert done.stderr.count("\n") == 1
