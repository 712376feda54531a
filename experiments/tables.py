"""A paper's table beside ours: what `table.json` holds, as Markdown.

`table.json` has all that the others show, so that a table can be shown anywhere.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae.evaluation.base import standard_error

BAR = "\\|"  # within a cell
KL = "KL per dimension: largest, median, smallest"

Row = Mapping[str, Any]
Table = Mapping[str, Any]


def summarize(values: Sequence[float]) -> dict[str, float]:
    """Returns the mean of a result over seeds, and of two or more its standard
    error."""
    array = np.array(values, float)
    summary = {"mean": float(array.mean())}
    if len(array) > 1:
        summary["error"] = standard_error(array)
    return summary


def summarize_texts(texts: Sequence[str]) -> str:
    """Returns what results say before a colon: once if all seeds say the same, else
    each with the number of seeds."""
    heads = Counter(text.partition(":")[0] for text in texts)
    if len(heads) == 1:
        return next(iter(heads))
    return ", ".join(f"{head} ({count})" for head, count in heads.most_common())


def verdict(difference: float, tolerance: float | None, digits: int = 2) -> str:
    """Says whether a difference from the paper's value is within the tolerance."""
    if tolerance is None:
        return f"{difference:+.{digits}f}"
    within = "within" if abs(difference) <= tolerance else "not within"
    return f"{difference:+.{digits}f}, {within} {tolerance:g}"


def check_claim(table: Table, claim: Mapping[str, Any]) -> str:
    """Says whether the rows that a claim names are in its order, each at least `by`
    lower than the next, in the mean; or the columns and numbers, of one row."""
    rows = {row["name"]: row for row in table["rows"]}
    row, by = claim.get("row"), claim.get("by", 0.0)
    if row is None:
        column = claim["column"]
        found = [rows[name].get("values", {}).get(column) for name in claim["order"]]
    else:
        values = rows.get(row, {}).get("values", {})
        found = [
            {"mean": entry, "error": 0.0}
            if isinstance(entry, float)
            else values.get(entry)
            for entry in claim["order"]
        ]
        column = next(entry for entry in claim["order"] if isinstance(entry, str))
    if missing := [n for n, f in zip(claim["order"], found, strict=True) if f is None]:
        return f"open, without {', '.join(map(str, missing))}"
    steps = np.diff([of_row["mean"] for of_row in found])
    errors = np.array([of_row.get("error", 0.0) for of_row in found])
    unsure = 2 * np.hypot(errors[:-1], errors[1:])  # two standard errors
    said = "held" if (steps > 0).all() and (steps >= by).all() else "not held"
    if said == "held" and (steps - by < unsure).any():
        said = "held within two standard errors only"
    if said == "held" and not all("error" in of_row for of_row in found):
        said = "held in the one seed there is"
    digits = _look_at(column, table["rows"]).digits
    shown = [
        f"{entry:g}"
        if isinstance(entry, float)
        else f"{entry} {_with_error(f, digits)}"
        for entry, f in zip(claim["order"], found, strict=True)
    ]
    return f"{said}: {', '.join(shown)}"


def as_markdown(table: Table) -> str:
    """Returns the table with what must be known to read it, and to repeat it."""
    return "\n".join([*_about(table), *_tables(table), *_after(table)]) + "\n"


def _about(table: Table) -> Iterator[str]:
    yield f"Written by `{table['command']}`, {table['date']}."
    yield ""
    seeds = ", ".join(map(str, table["seeds"]))
    yield (
        f"Mean and standard error over the seeds {seeds}"
        if len(table["seeds"]) > 1
        else f"The seed {seeds} alone, without a standard error over seeds"
    ) + (
        "; likelihoods and divergences in nats. NLL is the importance-weighted bound "
        f"with {table['samples']} samples. A dash stands for what a row does not have."
    )
    if changed := table.get("changed"):
        told = [f"{field}={now} ({own})" for field, (now, own) in changed.items()]
        yield ""
        yield f"Not the config file's own values (in brackets): {', '.join(told)}"
    if not_finite := _not_finite(table):
        yield ""
        yield f"Not a finite number (nan in the table): {', '.join(not_finite)}"
    for title, key in (("Source", "source"), ("What differs", "differs")):
        if text := table.get(key):
            yield ""
            yield f"{title}: {text}"


def _not_finite(table: Table) -> list[str]:
    """Returns the columns, each with its row, whose mean is nan or infinite."""
    return [
        f"{title} of {row['name']}"
        for row in table["rows"]
        for title, value in row.get("values", {}).items()
        if not math.isfinite(value["mean"])
    ]


def _tables(table: Table) -> Iterator[str]:
    for group in dict.fromkeys(row["group"] for row in table["rows"]):
        rows = [row for row in table["rows"] if row["group"] == group]
        titles = [_look_at(title, rows) for title in table["columns"]]
        texts = [
            key
            for key in ("published", "differs")
            if any(isinstance(row.get(key), str) for row in rows)
        ]
        with_kl = any("kl_per_dim" in row for row in rows)
        texts = [KL, *texts] if with_kl else texts
        header = [group]
        for column in titles:
            compared = ["published", "difference"] if column.is_compared else []
            header += [column.title, *compared]
        yield ""
        yield _row_of([*header, *texts])
        yield "|---" * (len(header) + len(texts)) + "|"
        for row in rows:
            cells = [*_cells(row, titles, table)]
            cells += [_text(row, key) for key in texts]
            yield _row_of(cells)


def _row_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


class _Column(NamedTuple):
    """A column as it is shown."""

    title: str
    is_compared: bool  # with published values
    digits: int  # after the point


def _look_at(title: str, rows: Sequence[Row]) -> _Column:
    found = [row["values"][title] for row in rows if title in row.get("values", {})]
    means = [value["mean"] for value in found]
    errors = [value.get("error", 0.0) for value in found]
    published = [published_in(row)[title] for row in rows if title in published_in(row)]
    digits = digits_of(means, [*errors, *published])
    return _Column(title, bool(published), digits)


def digits_of(means: Sequence[float], others: Sequence[float]) -> int:
    """Returns how many digits after the point tell the numbers of a column: none if all
    are counts, three if all means are shares, else two."""
    if all(float(number).is_integer() for number in (*means, *others)):
        return 0
    return 3 if means and max(map(abs, means)) <= 1 else 2


def _cells(row: Row, columns: Sequence[_Column], table: Table) -> Iterator[str]:
    yield row["name"]
    missing = row.get("missing")
    for column in columns:
        value = row.get("values", {}).get(column.title)
        published = published_in(row).get(column.title)
        if missing:
            yield f"missing: {missing}" if column is columns[0] else ""
        else:
            text = row.get("texts", {}).get(column.title, "-")
            yield text if value is None else _with_error(value, column.digits)
        if column.is_compared:
            yield "" if published is None else f"{published:g}"
            if value is None or published is None:
                yield ""
            else:
                tolerance = _tolerance(row, table, column.title)
                yield verdict(value["mean"] - published, tolerance, column.digits)


def _text(row: Row, key: str) -> str:
    if key != KL:
        return row[key] if isinstance(row.get(key), str) else ""
    kl = row.get("kl_per_dim")
    if not kl:
        return "-"
    shown = kl[0], np.median(kl), kl[-1]
    return ", ".join(f"{value:.2f}" for value in shown)


def published_in(row: Row) -> Mapping[str, float]:
    """Returns the published values of a row by column."""
    published = row.get("published", {})
    return {} if isinstance(published, str) else published


def _tolerance(row: Row, table: Table, title: str) -> float | None:
    return {**table.get("tolerance", {}), **row.get("tolerance", {})}.get(title)


def _with_error(value: Mapping[str, float], digits: int) -> str:
    error = f" +- {value['error']:.{digits}f}" if "error" in value else ""
    return f"{value['mean']:.{digits}f}{error}"


def _after(table: Table) -> Iterator[str]:
    claims = table.get("claims", ())
    if claims:
        yield ""
    for claim in claims:
        yield f"- {claim['says']}: {check_claim(table, claim)}."
    if notes := table.get("notes"):
        yield ""
        yield notes
    yield ""
    yield (
        f"{table['machine']}; training took {_duration(table['hours'])} in all; "
        f"commits {', '.join(table['commits']) or 'none yet'}."
    )


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
