import json
from pathlib import Path

import numpy as np
import pytest

from experiments import reproduce, train


def table():
    rows = [
        {"name": "VAE", "group": "objective", "overrides": {}},
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
    return {"seeds": (0, 1), "rows": rows}


def test_rows_stand_whatever_befalls_the_others(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reproduce.run(small_config, table, tmp_path)
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    results = rows[0]["results"]
    assert [r["train/steps"] for r in results] == [20, 20]
    nll = [r["test/nll_is3_nats"] for r in results]
    assert nll[0] != nll[1]  # the seeds differ
    assert "choose uniform_on_sphere" in rows[1]["failed"]
    assert "posteriors" in rows[2]["failed"]
    text = (tmp_path / "table.md").read_text()
    shown = f"| VAE | {np.mean(nll):.2f} +- {abs(nll[0] - nll[1]) / 2:.2f} |"
    assert shown in text
    assert "| on the sphere | failed: seed 0: model.posterior.name" in text
    # Launched again, it shows what is there and trains nothing.
    monkeypatch.setattr(train, "train_in", lambda *_: pytest.fail("trained again"))
    reproduce.run(small_config, table, tmp_path)
    assert (tmp_path / "table.md").read_text() == text
