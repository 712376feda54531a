"""Pages that need no other file."""

import base64
import sys
from pathlib import Path

import pytest

from experiments import page


def test_a_template_is_filled_in_and_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "<this>"])
    monkeypatch.setattr(page, "__file__", str(tmp_path / "page.py"))
    (tmp_path / "a.png").write_bytes(b"pixels")
    (tmp_path / "a.html").write_text("{{ command }} {{ path | picture }} {{ date }}")
    command, _, rest = page.render("a.html", path=tmp_path / "a.png").partition(" data")
    assert command == "python launch.py &#39;&lt;this&gt;&#39;"
    url, date = rest.split(" ", 1)
    assert url == f":image/png;base64,{base64.b64encode(b'pixels').decode()}"
    assert date.endswith(" UTC")


def test_the_command_is_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "--workdir=a"])
    assert page.command_line() == "python launch.py --workdir=a"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/vae-launch", "--workdir=a"])
    assert page.command_line() == "vae-launch --workdir=a"


def test_results_that_are_not_finite_are_named() -> None:
    results = {
        "number": 1.0,
        "nan": float("nan"),
        "text": "inf",
        "list": [1.0, 2],
        "list of infinity": [0.0, float("-inf")],
        "lists": [[1.0], [float("nan")]],
    }
    assert page.not_finite(results) == ["nan", "list of infinity", "lists"]
