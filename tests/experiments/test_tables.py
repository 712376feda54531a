"""What a table says of rows whose values are known."""

from typing import Any

import pytest

from experiments import tables


def row(name: str, nll: float | None, **changes: Any) -> dict[str, Any]:
    values = {} if nll is None else {"values": {"NLL": {"mean": nll, "error": 0.25}}}
    return {"name": name, "group": "row", **values, **changes}


def table_of(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "command": "python launch.py",
        "date": "2026-01-01",
        "machine": "2 cores",
        "seeds": [0, 1],
        "samples": 5000,
        "hours": 1.0,
        "commits": ["abc"],
        "columns": ["NLL", "rate"],
        "rows": list(rows),
        **changes,
    }


def test_ours_beside_the_papers() -> None:
    table = table_of(
        row("VAE", 87.0, published={"NLL": 86.76}, differs="fewer epochs"),
        row("IWAE", 85.0, published={"NLL": 85.54}),
        row("VAE, k = 5", 86.0, published={"NLL": 86.47}, tolerance={"NLL": 0.1}),
        row("ours alone", 80.0),
        row("broken", None, missing="seed 1: diverged", published={"NLL": 1.0}),
        tolerance={"NLL": 0.5},
        source="Burda et al.",
    )
    lines = tables.as_markdown(table).splitlines()
    assert lines[4] == "Source: Burda et al."
    assert lines[6:13] == [
        "| row | NLL | published | difference | rate | differs |",
        "|---|---|---|---|---|---|",
        "| VAE | 87.00 +- 0.25 | 86.76 | +0.24, within 0.5 | - | fewer epochs |",
        "| IWAE | 85.00 +- 0.25 | 85.54 | -0.54, not within 0.5 | - |  |",
        "| VAE, k = 5 | 86.00 +- 0.25 | 86.47 | -0.47, not within 0.1 | - |  |",
        "| ours alone | 80.00 +- 0.25 |  |  | - |  |",
        "| broken | missing: seed 1: diverged | 1 |  |  |  |",
    ]


@pytest.mark.parametrize(
    ("mean", "error", "published", "shown"),
    [
        (22.0, 0.0, 19, "22 +- 0 | 19 | +3 |"),
        (22.0, 0.5, 19, "22.00 +- 0.50 | 19 | +3.00 |"),
        (22.0, 0.0, 19.5, "22.00 +- 0.00 | 19.5 | +2.50 |"),
        (0.75, 0.25, 1, "0.750 +- 0.250 | 1 | -0.250 |"),
    ],
)
def test_counts_are_whole_and_shares_have_three_digits(
    mean: float, error: float, published: float, shown: str
) -> None:
    values = {"rate": {"mean": mean, "error": error}}
    table = table_of(
        {**row("VAE", None, published={"rate": published}), "values": values}
    )
    assert shown in tables.as_markdown(table)


def test_texts_of_seeds_that_differ_are_counted() -> None:
    assert tables.summarize_texts(["healthy: all", "healthy: 3 of 4"]) == "healthy"
    texts = ["healthy: all", "collapsed: x", "healthy: 3 of 4"]
    assert tables.summarize_texts(texts) == "healthy (2), collapsed (1)"


def test_a_claim_about_the_columns_of_a_row() -> None:
    rows = [row("VAE", 86.0)]
    claim = {"says": "s", "row": "VAE", "order": [85.0, "NLL"], "by": 0.5}
    assert tables.check_claim(table_of(*rows), claim).startswith("held")
    # A constant has no error over seeds.
    said = tables.check_claim(table_of(*rows), claim).partition(": ")[2]
    assert said.startswith("85, NLL 86.00")
    claim["by"] = 1.5
    assert tables.check_claim(table_of(*rows), claim).startswith("not held")
    claim["order"] = [85.0, "AUROC"]
    assert tables.check_claim(table_of(*rows), claim) == "open, without AUROC"


def test_a_claim_from_one_seed_says_so() -> None:
    claim = {"says": "lower", "column": "NLL", "order": ["IWAE", "VAE"]}
    rows = [row("VAE", 86.5), row("IWAE", 85.0)]
    for of_row in rows:
        del of_row["values"]["NLL"]["error"]
    said = tables.check_claim(table_of(*rows), claim)
    assert said == "held in the one seed there is: IWAE 85.00, VAE 86.50"


@pytest.mark.parametrize(
    ("nll", "by", "verdict"),
    [
        (86.5, 0.0, "held: IWAE 85.00 +- 0.25, VAE 86.50 +- 0.25"),
        (
            86.5,
            1.5,
            "held within two standard errors only: IWAE 85.00 +- 0.25, "
            "VAE 86.50 +- 0.25",
        ),
        (86.5, 2.0, "not held: IWAE 85.00 +- 0.25, VAE 86.50 +- 0.25"),
        (84.0, 0.0, "not held: IWAE 85.00 +- 0.25, VAE 84.00 +- 0.25"),
        (None, 0.0, "open, without VAE"),
    ],
)
def test_claims(nll: float | None, by: float, verdict: str) -> None:
    claim = {"says": "lower", "column": "NLL", "order": ["IWAE", "VAE"], "by": by}
    table = table_of(row("VAE", nll), row("IWAE", 85.0), claims=[claim])
    assert tables.check_claim(table, claim) == verdict
    assert f"- lower: {verdict}." in tables.as_markdown(table)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Mean and standard error over the seeds 0, 1; likelihoods"),
        ({"seeds": [3]}, "The seed 3 alone, without a standard error over seeds; lik"),
        ({"hours": 1.25}, "training took 1.2 hours in all"),
        ({"hours": 0.75}, "training took 45 minutes in all"),
    ],
)
def test_what_a_table_says_of_itself(changes: dict[str, Any], said: str) -> None:
    assert said in tables.as_markdown(table_of(row("VAE", 87.0), **changes))


def test_a_number_that_is_not_finite_is_named_and_shown() -> None:
    table = table_of(row("VAE", float("nan")), row("IWAE", 85.0))
    text = tables.as_markdown(table)
    assert "Not a finite number (nan in the table): NLL of VAE\n" in text
    assert "| VAE | nan +- 0.25 |" in text


def test_another_config_than_the_files_own_is_told() -> None:
    changed = {"train.steps": [20, 1000]}
    text = tables.as_markdown(table_of(row("VAE", 87.0), changed=changed))
    assert (
        "Not the config file's own values (in brackets): train.steps=20 (1000)" in text
    )
