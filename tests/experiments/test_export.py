"""A run is exported by the command line, with a model card of its numbers."""

from pathlib import Path

import pytest

import vae
from experiments import export
from experiments.workdir import read_json, write_json
from vae.types import UserError


def test_the_card_states_the_runs_numbers(tmp_path: Path, kept_run: Path) -> None:
    export.run(kept_run, tmp_path / "model", license="mit")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    card = (tmp_path / "model/README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "| `test/elbo_nats` |" in card and "Trained by `python" in card
    assert vae.load(tmp_path / "model").event_shape == (8, 8, 1)


def test_numbers_of_each_group_are_not_on_the_card(
    tmp_path: Path, kept_run: Path
) -> None:
    results = read_json(kept_run / "results.json")
    groups = {"latent/active_units_per_group": [3, 1]}
    write_json(kept_run / "results.json", {**results, **groups})
    export.run(kept_run, tmp_path / "model", license="mit")
    card = (tmp_path / "model/README.md").read_text()
    assert "| `test/elbo_nats` |" in card and "per_group" not in card


@pytest.mark.parametrize("name", ["config.json", "README.md", "model.safetensors"])
@pytest.mark.parametrize("text", ["{}", "[1]", '{"model_type": "bert"}'])
def test_no_file_of_another_kind_is_written_over(
    tmp_path: Path, kept_run: Path, name: str, text: str
) -> None:
    """Such as the configuration of another run."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=f"has a {name} that is not of an exported"):
        export.run(kept_run, folder, license="mit")
    assert (folder / name).read_text() == text
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_damaged_export_and_the_runs_own_folder_are_refused(
    tmp_path: Path, kept_run: Path
) -> None:
    with pytest.raises(UserError, match="is the run's own folder"):
        export.run(kept_run, kept_run, license="mit")
    export.run(kept_run, tmp_path, license="mit")
    export.run(kept_run, tmp_path, license="cc0-1.0")  # an earlier export is replaced
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="is missing or damaged"):
        vae.load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        export.run(kept_run, tmp_path / "file", license="mit")
