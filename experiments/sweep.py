"""Runs the cells of a sweep and gathers what came out.

A config file may describe sweeps beside its `get_config` by generators of overrides:

    def sweep():
        for beta in (1.0, 4.0):
            yield {"objective.beta": beta}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments import executors, members, origin, report, workdir
from experiments.agreement import score_agreement
from experiments.cells import Cell, changes_nothing
from experiments.evaluate import is_done
from experiments.members import folder_of
from experiments.terminal import ProgressReport, say
from vae.build import from_operative, operative
from vae.identity import WHERE_DATA_ARE
from vae.training.checkpoint import saved_steps
from vae.types import UserError

MEMBERS_SIDE_BY_SIDE = 4  # at most, on a CPU


def use_cores() -> None:
    """Makes JAX see a CPU as several devices, so that members work side by side: one
    by itself keeps few cores busy. `JAX_NUM_CPU_DEVICES` may say otherwise, but more
    devices than cores change how XLA splits its sums, and so the last bits."""
    settings: Any = jax.config  # its fields are not known to type checkers
    if settings.jax_num_cpu_devices < 1:
        cores = min(origin.cores(), MEMBERS_SIDE_BY_SIDE)
        jax.config.update("jax_num_cpu_devices", cores)


def run(
    cells: Sequence[Cell],
    folder: Path,
    *,
    executor: str | None = None,
    address: str = "",
) -> None:
    """Trains and evaluates the cells that are not done, then writes `results.csv`,
    `summary.csv` and `report.html`.

    Args:
      cells: from `plan_cells`.
      folder: of the sweep; members lie in `members/ID`.
      executor: map | vmap | serial | ray; None chooses by the device.
      address: of a Ray cluster; empty for this machine.

    Raises:
      UserError: a cell cannot be trained; the others are, if that is found on the way.
    """
    executor = choose_executor(executor)
    members.check(cells, alone=executor == "serial")
    with workdir.locked(folder):
        failures: list[UserError] = []

        def note(cell: Cell, error: UserError | None) -> None:
            if error is not None:
                failures.append(error)

        do_members(cells, folder, executor, address, note)
        rows = _write_report(cells, folder)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(cells)} members could not be done; mend this "
            f"and launch the sweep again: {failures[0]}"
        )
    if diverged := [row for row in rows if row["status"] == "diverged"]:
        say(f"diverged: {len(diverged)} of {len(rows)} members; see results.csv")


def _write_report(cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """Reports on all members in the folder that are done or have diverged, those of
    this launch first, and says which are left out; returns their rows."""
    others, unreadable = members_beside(cells, folder)
    shown = [cell for cell in (*cells, *others) if state_of(cell, folder)[0] != "to do"]
    unfinished = len(cells) + len(others) - len(shown)
    trained = [_as_trained(cell, folder) for cell in shown]
    shown = _without_copies(trained, cells, folder)
    left_out = {
        "not done": unfinished,
        "without a readable config.json": unreadable,
        "with the training of another": len(trained) - len(shown),
    }
    told = [f"{count} {why}" for why, count in left_out.items() if count]
    if told:
        say(f"members left out of the report: {', '.join(told)}")
    if not shown:
        return []
    swept = swept_fields(shown)
    rows = [gather(cell, swept, folder) for cell in shown]
    _add_agreement(rows, swept, folder)
    report.write(rows, swept, folder, launched=len(cells), left_out=told)
    say(f"written to {folder}: results.csv, summary.csv, report.html")
    return rows


def members_beside(cells: Sequence[Cell], folder: Path) -> tuple[list[Cell], int]:
    """Returns the members in the folder that other launches have left, as cells without
    overrides in the order of their configurations, and how many folders hold none that
    can be read."""
    known, found, unreadable = {cell.id for cell in cells}, [], 0
    for place in sorted(folder.glob("members/*/")):
        if place.name in known:
            continue
        try:
            found.append(Cell(place.name, {}, workdir.config_of(place)))
        except UserError:
            unreadable += 1
    return sorted(found, key=lambda cell: repr(_trained(cell))), unreadable


def _as_trained(cell: Cell, folder: Path) -> Cell:
    """Returns the cell with the configuration in its folder, which says what "auto"
    stood for and where its data were. What is evaluated stays as this launch asks.

    Raises:
      UserError: the folder holds no configuration that can be read.
    """
    trained = operative(workdir.config_of(folder_of(cell, folder)))
    trained["evaluate"] = operative(cell.config)["evaluate"]
    return cell._replace(config=from_operative(trained))


def _without_copies(
    shown: Sequence[Cell], launched: Sequence[Cell], folder: Path
) -> list[Cell]:
    """Leaves out members of other launches that repeat the training of a member before
    them on the same data, wherever these were."""
    own, seen, kept = {cell.id for cell in launched}, set(), []
    for cell in shown:
        provenance = workdir.read_json(folder_of(cell, folder) / "provenance.json")
        trained = {k: v for k, v in _trained(cell).items() if k not in WHERE_DATA_ARE}
        training = repr((sorted(trained.items()), provenance["data_sha256"]))
        if cell.id in own or training not in seen:
            kept.append(cell)
        seen.add(training)
    return kept


def choose_executor(name: str | None) -> str:
    """Returns the executor that is asked for, or the device's own.

    Raises:
      UserError: there are several hosts.
    """
    if jax.process_count() > 1:
        raise UserError(
            "a sweep runs on one host; spread it over several with --executor=ray"
        )
    return name or executors.default_executor()


def do_members(
    cells: Sequence[Cell],
    folder: Path,
    executor: str,
    address: str,
    on_member: members.Report,
) -> None:
    """Trains and evaluates the cells that are not done, in a folder that is locked;
    `on_member` is told of each."""
    left = [cell for cell in cells if state_of(cell, folder)[0] == "to do"]
    if len(left) < len(cells):
        say(f"{len(cells) - len(left)} of {len(cells)} members are done already")
    done = len(cells) - len(left)
    progress = ProgressReport(
        "members",
        done,
        len(cells),
        "members",
        side_by_side=executors.side_by_side(executor, left),
    )

    def tell(cell: Cell, error: UserError | None) -> None:
        nonlocal done
        done += 1
        outcome = error or state_of(cell, folder)[1]
        progress.advance_with_line(
            f"member {done}/{len(cells)} ({members.describe(cell)}): {outcome}"
        )
        on_member(cell, error)

    if left:
        programs = len(members.group_by_program(left))
        say(f"members to do: {len(left)}; compiled programs: {programs}")
        with progress:
            executors.execute(executor, left, folder, tell, address=address)


def swept_fields(cells: Sequence[Cell]) -> list[str]:
    """Returns the fields that any cell overrides, and those in which what is trained
    differs between two cells. The seed is left out, and so is where the data are, if no
    cell overrides it: the data's hash says which they are."""
    fields = dict.fromkeys(field for cell in cells for field in cell.overrides)
    trained = [_trained(cell) for cell in cells]
    for field in dict.fromkeys(field for config in trained for field in config):
        differs = len({repr(config.get(field)) for config in trained}) > 1
        if differs and field not in WHERE_DATA_ARE:
            fields[field] = None
    return [field for field in fields if field != "seed"]


def _trained(cell: Cell) -> dict[str, Any]:
    """Returns the fields that decide what a cell's training gives."""
    flat = workdir.flatten(operative(cell.config))
    return {k: v for k, v in flat.items() if not changes_nothing(k)}


def print_cells(cells: Sequence[Cell], *, executor: str | None) -> None:
    """Prints the cells and how many programs serve them, once they are checked."""
    members.check(cells, alone=executor == "serial")
    for cell in cells:
        say(f"{cell.id}  {members.describe(cell)}")
    groups = members.group_by_program(cells)
    say(f"cells: {len(cells)}; compiled programs: {len(groups)}")


def state_of(cell: Cell, folder: Path) -> tuple[str, str]:
    """Returns ("done" | "diverged" | "to do", what to tell of it)."""
    place = folder_of(cell, folder)
    if is_done(operative(cell.config), place):
        results = workdir.read_results(place)
        return "done", f"ELBO {results['test/elbo_nats']:.2f} nats"
    if diverged := workdir.read_json(place / "diverged.json"):
        return "diverged", f"diverged at step {diverged['step']}"
    if steps := saved_steps(place):
        saved, last = steps[-1], cell.config.train.steps
        if saved == last:
            return "to do", "trained, not evaluated"
        return "to do", f"saved at step {saved:,} of {last:,}"
    return "to do", "no step saved"


def gather(cell: Cell, swept: Sequence[str], folder: Path) -> dict[str, Any]:
    """Returns a row of `results.csv`: what was asked for, what came out, and what must
    be alike in rows that are compared."""
    place = folder_of(cell, folder)
    status, _ = state_of(cell, folder)
    if status == "to do":
        raise UserError(f"the member {cell.id} is not done; launch the sweep again")
    provenance = workdir.read_json(place / "provenance.json")
    config, flat = cell.config, workdir.flatten(operative(cell.config))
    return {
        "id": cell.id,
        "status": status,
        **{field: flat.get(field, "") for field in swept},
        "seed": config.seed,
        **workdir.read_results(place),
        "dataset.name": config.dataset.name,
        "dataset.binarize": config.dataset.binarize,
        "data_sha256": provenance["data_sha256"][:12],
        "model.latent_dim": config.model.latent_dim,
        "model.likelihood.name": config.model.likelihood.name,
        "objective.name": config.objective.name,
        "evaluate.bounds.importance_samples": config.evaluate.bounds.importance_samples,
        "precision": config.precision,
        "git_commit": origin.short(provenance["launches"][-1]["git_commit"]),
        "device": provenance["launches"][-1]["device"].partition(" x ")[2],
    }


def _add_agreement(
    rows: Sequence[dict[str, Any]], swept: Sequence[str], folder: Path
) -> None:
    """Adds to the rows of each cell how far the models of its seeds agree, if their
    codes are there."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] == "done":
            key = [row[field] for field in (*swept, "data_sha256")]
            cells.setdefault(repr(key), []).append(row)
    for alike in cells.values():
        scores = score_agreement([folder / "members" / row["id"] for row in alike])
        for row, of_row in zip(alike, scores, strict=True):
            row.update(of_row)
