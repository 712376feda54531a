"""Members of a sweep, trained and evaluated by one program: in turn or together."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil

from experiments import interrupt, workdir
from experiments.cells import Cell
from experiments.program import Program, describe_data, make_program, put
from experiments.terminal import say
from experiments.train import Member, Outcome, train_and_evaluate
from vae.build import Config, Experiment, build, operative, vary
from vae.identity import program_key
from vae.training.loop import Interrupted
from vae.training.parallel import Placement, one_per_device, runs_over_devices
from vae.types import UserError

# Told of each member that is done or has diverged, or why it could not be done.
Report = Callable[[Cell, UserError | None], None]

MEMORY_SHARE = 0.5  # of what is free, for members that are trained together
# Members trained together on one device, at most: on a CPU more of them leave the
# processor's caches; elsewhere each still has files of its own open.
TOGETHER_ON_CPU, TOGETHER = 4, 32


def folder_of(cell: Cell, folder: Path) -> Path:
    """Returns the workdir of a member of the sweep in `folder`."""
    return folder / "members" / cell.id


def group_by_program(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Groups cells by the program that serves them, in order."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(program_key(operative(cell.config)), []).append(cell)
    return list(groups.values())


def check(cells: Sequence[Cell], *, alone: bool, said: set[str] | None = None) -> None:
    """Refuses cells that cannot be trained, before any is; says each note on the others
    once.

    Args:
      cells: of one sweep, or of one row of a table.
      alone: whether each is to be launched by itself, on all devices.
      said: the notes that are said already; those said here are added.

    Raises:
      UserError: the first such cell, and why.
    """
    said = set() if said is None else said
    for group in group_by_program(cells):
        experiment = None
        for cell in group:
            try:
                placement = one_per_device(cell.config.runtime.num_devices)[0]
                experiment = experiment or build(
                    cell.config, None if alone else placement
                )
                vary(experiment, cell.config)
            except UserError as error:
                raise UserError(f"the cell {describe(cell)}: {error}") from error
        for note in experiment.notes if experiment else ():
            if note not in said:
                said.add(note)
                say(note)


def describe(cell: Cell) -> str:
    """Returns what tells the cell from the others, for people."""
    return ", ".join(f"{field}={value}" for field, value in cell.overrides.items())


def run_in_turn(cells: Sequence[Cell], folder: Path, report: Report) -> None:
    """Trains and evaluates members one after the other, each by the program that serves
    it alone. Several devices work side by side, on a member each, of one program or of
    several."""
    for groups in _alike_in_numerics(group_by_program(cells)):
        _run_side_by_side(groups, folder, report)
        jax.clear_caches()  # the programs of these groups serve no other


def _alike_in_numerics(groups: Sequence[Sequence[Cell]]) -> list[list[Sequence[Cell]]]:
    """Gathers groups of cells that one process can work on at a time: precision is set
    for all of it."""
    alike: dict[tuple[str, str], list[Sequence[Cell]]] = {}
    for group in groups:
        config = group[0].config
        alike.setdefault((config.precision, config.matmul_precision), []).append(group)
    return [*alike.values()]


def _run_side_by_side(
    groups: Sequence[Sequence[Cell]], folder: Path, report: Report
) -> None:
    devices: queue.SimpleQueue[Placement] = queue.SimpleQueue()
    count = sum(map(len, groups))
    placements = one_per_device(groups[0][0].config.runtime.num_devices)[:count]
    for placement in placements:
        devices.put(placement)
    failed = threading.Event()

    def stop() -> bool:
        return failed.is_set() or interrupt.requested()

    def do(cell: Cell, shared: "_OneProgram") -> list[UserError | None]:
        placement, told = devices.get(), []

        def note(cell: Cell, error: UserError | None) -> None:
            told.append(error)

        try:
            if stop():
                raise Interrupted("stopped between members")
            made = shared.on(placement)
            _do_population([cell], *made, folder, note, stop=stop)
        except BaseException:
            failed.set()
            raise
        finally:
            devices.put(placement)
        return told

    with ThreadPoolExecutor(len(placements)) as pool:
        # The pool forgets a program with the last of its members.
        tasks = {
            pool.submit(do, cell, shared): cell
            for group in groups
            for shared in [_OneProgram(group[0].config)]
            for cell in group
        }
        errors: list[BaseException] = []
        for task in as_completed(tasks):
            if error := task.exception():
                errors.append(error)
            else:
                report(tasks[task], *task.result())
    if errors:  # the others only say that they were stopped
        raise min(errors, key=lambda error: isinstance(error, Interrupted))


class _OneProgram:
    """The program of some members: made when the first of them begins, and put on each
    device that works on one."""

    making = threading.Lock()  # one at a time, of all programs

    def __init__(self, config: Config):
        self._config = config
        self._made: tuple[Experiment, Program] | None = None
        self._on: dict[Placement, tuple[Experiment, Program]] = {}

    def on(self, placement: Placement) -> tuple[Experiment, Program]:
        with self.making:
            if self._made is None:
                base = build(self._config, placement)
                self._made = base, make_program(base)
            if placement not in self._on:
                base, program = self._made
                on_device = base._replace(placement=placement)
                self._on[placement] = on_device, put(program, placement)
            return self._on[placement]


def run_together(cells: Sequence[Cell], folder: Path, report: Report) -> None:
    """Trains and evaluates as many members at a time as memory allows, by one program
    whose arrays hold all of them, spread over the devices."""
    for group in group_by_program(cells):
        placement = runs_over_devices(group[0].config.runtime.num_devices)
        base = build(group[0].config, placement)
        program, width = _fit_memory(base, make_program(base), len(group))
        for start in range(0, len(group), width):
            some = group[start : start + width]
            _do_population(some, base, program, folder, report, width=width)
        jax.clear_caches()


def _do_population(
    cells: Sequence[Cell],
    base: Experiment,
    program: Program,
    folder: Path,
    report: Report,
    *,
    width: int = 1,
    stop: Callable[[], bool] = interrupt.requested,
) -> None:
    """Trains and evaluates at most `width` members."""
    members: list[Member] = []
    known: list[Cell] = []
    for cell in cells:
        experiment, place = vary(base, cell.config), folder_of(cell, folder)
        try:
            workdir.check(place, experiment.config, program.data_hash)
            members.append(Member(experiment, place))
            known.append(cell)
        except UserError as error:
            report(cell, error)

    def on_done(i: int, outcome: Outcome) -> None:
        # The folder of a diverged run holds `diverged.json`.
        report(known[i], outcome if isinstance(outcome, UserError) else None)

    how: Any = {"quiet": True, "stop": stop, "on_done": on_done}
    train_and_evaluate(members, program, width=width, **how)


def most_together() -> int:
    """Returns how many members are trained together on one device, at most."""
    return TOGETHER_ON_CPU if jax.default_backend() == "cpu" else TOGETHER


def _fit_memory(base: Experiment, program: Program, count: int) -> tuple[Program, int]:
    """Compiles the training of as many of `count` members together as fit, and returns
    the program with it and how many these are."""
    devices = base.placement.num_devices
    parts = -(-count // (most_together() * devices))
    run = program.initialize(base)
    while True:
        width = -(-count // (parts * devices)) * devices
        carry = base.placement.describe(run, width)
        data = describe_data(base, program, width)
        call = program.call.lower(carry, data, program.positions, np.int32(0)).compile()
        if width == devices or _memory_needed(call) < MEMORY_SHARE * _free_memory():
            return program._replace(call=call), width
        parts *= 2


def _memory_needed(compiled: Any) -> int:
    """Bytes on one device."""
    sizes = compiled.memory_analysis()
    return (
        sizes.temp_size_in_bytes
        + sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
    )


def _free_memory() -> int:
    """Bytes on one device; on a CPU, on which devices are simulated, in all."""
    stats = jax.devices()[0].memory_stats()
    if stats is None:
        return psutil.virtual_memory().available
    return stats["bytes_limit"] - stats["bytes_in_use"]
