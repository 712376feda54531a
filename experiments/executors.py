"""Ways to get the members of a sweep done, besides those of `members`: by launches, and
by Ray."""

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from experiments import interrupt, members, origin, tracking, workdir
from experiments.cells import Cell, identify
from experiments.evaluate import NOT_COMPUTED
from experiments.members import Report, folder_of
from vae.build import from_operative, operative
from vae.training.checkpoint import SaveError
from vae.training.loop import Interrupted
from vae.training.parallel import one_per_device
from vae.types import UserError

ROOT = Path(__file__).parents[1]
SHARED = (
    *("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"),
    *(tracking.CHOICE, "WANDB_API_KEY", "WANDB_MODE", "MLFLOW_TRACKING_URI"),
)
RETRIES = 3  # of a task whose worker dies


def default_executor() -> str:
    return "map" if jax.default_backend() == "cpu" else "vmap"


def side_by_side(name: str, cells: Sequence[Cell]) -> int:
    """Returns how many of the cells an executor has in work at a time, at most."""
    if name == "serial" or not cells:
        return 1
    if name == "ray":
        return min(origin.cores(), len(cells))
    devices = len(one_per_device(cells[0].config.runtime.num_devices))
    on_each = 1 if name == "map" else members.most_together()
    return min(on_each * devices, len(cells))


def execute(
    name: str, cells: Sequence[Cell], folder: Path, report: Report, *, address: str
) -> None:
    """Trains and evaluates all cells; `report` is told of each that is done or has
    diverged, or that it could not be done, which stops no other.

    Raises:
      SaveError, Interrupted: as for a run alone.
      UserError: the executor itself cannot be used.
    """
    if name == "map":
        members.run_in_turn(cells, folder, report)
    elif name == "vmap":
        members.run_together(cells, folder, report)
    elif name == "serial":
        _run_launches(cells, folder, report)
    else:
        _run_ray(cells, folder, report, address)


def _run_launches(cells: Sequence[Cell], folder: Path, report: Report) -> None:
    """Launches each member by itself, one after the other."""
    for cell in cells:
        place = folder_of(cell, folder)
        place.mkdir(parents=True, exist_ok=True)
        config = workdir.settle_as_held(place, operative(cell.config))
        workdir.write_json(place / "config.json", config)
        command = [sys.executable, str(ROOT / "launch.py"), f"--workdir={place}"]
        status, errors = _run_process(command)
        if interrupt.requested() or status == 130:
            raise Interrupted(f"stopped in the member {cell.id}")
        said = errors.removeprefix("error: ")
        is_own = status == 2 or status == 1 and said.startswith(NOT_COMPUTED)
        if status not in (0, 3) and not is_own:
            raise SaveError(f"the member {cell.id}: {said}")
        report(cell, UserError(said) if is_own else None)


def _run_process(command: Sequence[str]) -> tuple[int, str]:
    """Returns status and standard error; hands on a request to stop."""
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    ) as process:
        while True:
            try:
                _, errors = process.communicate(timeout=1.0)
                return process.returncode, errors.strip()
            except subprocess.TimeoutExpired:
                if interrupt.requested():
                    process.terminate()


def _run_ray(cells: Sequence[Cell], folder: Path, report: Report, address: str) -> None:
    """Shares the members among the workers of a Ray cluster (without an address, of
    this machine), which reach the folder under the same name. A task whose worker dies
    is tried again, and takes its members up from their checkpoints."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UserError("--executor=ray needs Ray: pip install ray") from error
    here = {} if address else {"include_dashboard": False}
    try:
        ray.init(
            address or None,
            runtime_env={"env_vars": _environment()},
            log_to_driver=False,
            **here,
        )
        interrupt.watch()  # Ray has handlers of its own
        _wait_for_ray(ray, _start_tasks(ray, cells, folder.resolve()), report)
    except ray.exceptions.RayTaskError as error:
        raise (
            error.cause
            if isinstance(error.cause, UserError)
            else SaveError(f"a worker failed: {error.cause}")
        ) from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise SaveError(f"Ray failed: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()


def _environment() -> dict[str, str]:
    """The variables of this process that workers elsewhere need."""
    named = {k: v for k, v in os.environ.items() if k in SHARED}
    return {"PYTHONPATH": str(ROOT), **named}


def _start_tasks(ray: Any, cells: Sequence[Cell], folder: Path) -> dict[Any, Any]:
    """Starts a task for each share of each program's members; returns the shares. A
    task has a GPU to itself, or where the cluster has none, a core."""
    there = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 1))
    needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    task = ray.remote(**needs, max_retries=RETRIES)(_work_for_ray)
    workers = max(1, gpus or cores)
    return {
        task.remote([operative(c.config) for c in share], str(folder)): share
        for group in members.group_by_program(cells)
        for share in _deal(group, workers)
    }


def _wait_for_ray(ray: Any, shares: dict[Any, Any], report: Report) -> None:
    waiting = list(shares)
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=1.0)
        for task in ready:
            errors = ray.get(task)
            for cell in shares[task]:
                report(cell, errors[cell.id])
        if interrupt.requested():
            raise Interrupted("stopped; members are at their last checkpoints")


def _work_for_ray(
    configs: Sequence[dict[str, Any]], folder: str
) -> dict[str, UserError | None]:
    """What a task does, in a process of its own; returns what `Report` is told of each
    member, by its id."""
    cells = [Cell(identify(c), {}, from_operative(c)) for c in configs]
    told: dict[str, UserError | None] = {}
    run = members.run_in_turn if default_executor() == "map" else members.run_together
    run(cells, Path(folder), lambda cell, error: told.update({cell.id: error}))
    return told


def _deal(cells: Sequence[Cell], hands: int) -> list[Sequence[Cell]]:
    """Deals cells to at most `hands` shares of nearly the same size."""
    return [cells[i::hands] for i in range(min(hands, len(cells)))]
