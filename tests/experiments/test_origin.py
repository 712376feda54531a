"""Where results come from: cores, processor and commit."""

import os
import subprocess

import pytest

from experiments import origin
from tests.conftest import ROOT


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
