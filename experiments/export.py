"""Writes a trained model for others: weights, config and a model card."""

import shlex
from pathlib import Path
from typing import Any

from experiments import workdir
from experiments.terminal import say
from vae.experiment import Experiment
from vae.saved import (
    CONFIG,
    MODEL_TYPE,
    WEIGHTS,
    open_model,
    read_json,
    write_model,
)
from vae.types import UserError

CARD = "README.md"
FILES = (CONFIG, CARD, WEIGHTS)
SHOWN = ("test/elbo", "test/nll_is", "test/distortion", "test/rate", "latent/active")


def run(folder: Path, output: Path | None, *, license: str) -> None:
    """Writes `model.safetensors`, `config.json` and `README.md`, the model card.

    `vae.load` opens the folder, and gives the same outputs as from the run, bit for
    bit.

    Args:
      folder: of a run.
      output: the folder to write; None: `export` in the run's folder.
      license: of the weights, as the card names it.

    Raises:
      UserError: there is no such run; the folder has files of these names that are not
        of an exported model; or it cannot be written.
    """
    output = output or folder / "export"
    if output.resolve() == folder.resolve():
        raise UserError(f"--output={output} is the run's own folder: name another")
    held = [name for name in FILES if (output / name).exists()]
    own = read_json(output / CONFIG)
    is_export = isinstance(own, dict) and own.get("model_type") == MODEL_TYPE
    if held and not is_export:
        raise UserError(
            f"--output={output} has a {held[0]} that is not of an exported model: name "
            "another folder"
        )
    experiment, variables = open_model(folder)
    try:
        card = _model_card(experiment, folder, license)
        write_model(experiment, variables, output)
        workdir.write_text(output / CARD, card)
    except OSError as error:
        raise UserError(f"--output={output} cannot be written ({error})") from error
    say(f"weights, config and model card written to {output}")


def _model_card(experiment: Experiment, folder: Path, license: str) -> str:
    """Returns Markdown that model hubs read, with the run's numbers."""
    results = workdir.read_results(folder)
    past = workdir.read_json(folder / "provenance.json") or {"launches": []}
    config = experiment.config
    model = config["model"]
    dimensions = " + ".join(map(str, experiment.group_dims))
    parts = [f"{part} `{model[part]['name']}`" for part in PARTS]
    rows = [
        f"| `{key}` | {value:.6g}{_error(results, key)} |"
        for key, value in results.items()
        if key.startswith(SHOWN)
        and not key.endswith(("_stderr", "_ess"))
        and not isinstance(value, list)  # of each group
    ]
    lines = [
        "---",
        f"license: {license}",
        "library_name: vae",
        "tags: [variational-autoencoder, jax]",
        "---",
        f"# A variational autoencoder of {config['dataset']['name']}",
        "",
        f"Objective `{config['objective']['name']}`; {', '.join(parts)}; "
        f"{dimensions} latent dimensions; {config['train']['steps']:,} steps.",
        "",
        "```python",
        "import vae",
        'fitted = vae.load("THIS FOLDER")',
        "```",
        "",
    ]
    if rows:
        lines += [
            "| result (nats where the name says so) | value |",
            "|---|---|",
            *rows,
        ]
    for launch in past["launches"][-1:]:
        command, commit = shlex.join(launch["command"]), launch["git_commit"]
        lines += ["", f"Trained by `python {command}`, commit {commit}."]
    if "data_sha256" in past:
        lines += ["", f"Data: SHA-256 {past['data_sha256']}."]
    return "\n".join(lines) + "\n"


PARTS = ("encoder", "posterior", "prior", "decoder", "likelihood")


def _error(results: dict[str, Any], key: str) -> str:
    error = results.get(f"{key.removesuffix('_nats')}_stderr")
    return "" if error is None else f" ± {error:.2g}"
