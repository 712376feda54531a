"""What the page says of an evaluation."""

from pathlib import Path

from experiments.latents import usage
from tests.experiments.latents.conftest import words


def test_dimensions_verdict_and_numbers(tmp_path: Path) -> None:
    evaluated = {
        "latent/kl_per_dim": [0.1, 2.0],
        "latent/mean_variance": [0.0, 0.9],
        "latent/active_units": 1,
        "test/rate_nats": 2.125,
        "collapse": "partial",
    }
    section = usage.show_usage(evaluated, tmp_path)
    assert section.tables[0] == (("rate", "active units"), [(2.125, 1)])
    assert section.pictures["usage"].exists()
    text = words("usage", section)
    assert "Verdict: partial." in text and "test images" not in text
    evaluated |= {"ais/nll_nats": 90.0, "ais/images": 16}
    text = words("usage", usage.show_usage(evaluated, tmp_path))
    assert "NLL by annealing 90.00 In nats, for 16 test examples." in text


def test_without_dimensions_nothing_is_shown(tmp_path: Path) -> None:
    assert usage.show_usage({"test/rate_nats": 1.0}, tmp_path).left_out
    section = usage.show_usage({"latent/mean_variance": [1.0]}, tmp_path)
    assert "Verdict: none." in words("usage", section)
