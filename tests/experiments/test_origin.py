"""Where results come from: cores, processor and commit."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from experiments import origin
from tests.conftest import ROOT

COMMIT = ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q"]


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no core can be withheld here"
)
def test_cores_count_if_they_may_be_used() -> None:
    """With more devices than cores a member would differ from its launch in bits."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert origin.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert origin.cores() == len(allowed)


@pytest.mark.parametrize(
    ("backend", "count", "text"),
    [
        ("cpu", 1, "1 core of X9"),
        ("cpu", 2, "2 cores of X9"),
        ("gpu", 2, "2 cores of X9 and 3 x H200"),
    ],
)
def test_the_machine_is_its_cores_and_accelerators(
    monkeypatch: pytest.MonkeyPatch, backend: str, count: int, text: str
) -> None:
    monkeypatch.setattr(origin, "cores", lambda: count)
    monkeypatch.setattr(origin, "processor", lambda: "X9")
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(
        jax, "devices", lambda: [SimpleNamespace(device_kind="H200")] * 3
    )
    assert origin.machine() == text


def test_the_commit_is_that_of_the_checkout() -> None:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    head = done.stdout.strip() or "unknown"  # an unpacked archive has none
    assert origin.git_commit().removesuffix("+changes") == head


def test_installed_code_has_a_version_in_place_of_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the folder of packages lies within a checkout of something else."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "vae_jax-1.2.3.dist-info").mkdir()
    about = "Metadata-Version: 2.1\nName: vae-jax\nVersion: 1.2.3\n"
    (tmp_path / "vae_jax-1.2.3.dist-info" / "METADATA").write_text(about)
    for words in (["init", "-q"], [*COMMIT, "--allow-empty", "-m", "another"]):
        subprocess.run(["git", *words], check=True, cwd=tmp_path, capture_output=True)
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "experiments/origin.py"))
    monkeypatch.setattr(origin, "git_commit", origin.git_commit.__wrapped__)
    assert origin.git_commit() == "unknown"
    monkeypatch.syspath_prepend(tmp_path)
    assert origin.git_commit() == origin.short("v1.2.3") == "v1.2.3"


@pytest.mark.parametrize(
    ("commit", "short"),
    [
        ("0123456789abcdef", "0123456789ab"),
        ("0123456789abcdef+changes", "0123456789ab+changes"),
        ("unknown", "unknown"),
    ],
)
def test_a_short_commit_says_if_code_was_changed(commit: str, short: str) -> None:
    assert origin.short(commit) == short


def test_a_launch_is_described() -> None:
    told = origin.describe_launch({"precision": "float64"})
    assert told["precision"] == "float64"
    assert told["packages"].keys() == set(origin.PACKAGES)
    assert told["device"] == "4 x cpu"
