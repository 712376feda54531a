"""The loop trains a population, and writes of each run what it would write alone."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from experiments.program import chunks, make_program
from vae.build import build, vary
from vae.training.loop import Clock, Interrupted, Records, TrainPlan, train
from vae.training.state import Carry, TrainState, first_nonfinite, run_of


def test_calls_end_wherever_something_is_due() -> None:
    plan = TrainPlan(
        steps=50, steps_per_call=20, log_every=15, evaluate_every=0, checkpoint_every=25
    )
    ends = [end for _, end in plan.calls(0)]
    assert ends == [15, 20, 25, 30, 40, 45, 50]
    assert plan.calls(20) == [(20, 25), (25, 30), (30, 40), (40, 45), (45, 50)]
    assert [step for step in range(1, 51) if plan.is_logged(step)] == [15, 30, 45, 50]


class Kept:
    """A checkpointer and a writer that keep what they are given."""

    def __init__(self) -> None:
        self.saved: dict[int, Carry] = {}
        self.logged: dict[int, dict[str, float]] = {}

    def save(self, step: int, tree: Any, info: dict[str, Any]) -> None:
        assert info["cost"]["train"] > 0
        self.saved[step] = jax.device_get(tree)

    def steps(self) -> list[int]:
        return list(self.saved)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        self.logged[step] = metrics

    def wait(self) -> None: ...

    def flush(self) -> None: ...


def give_away(advance: Callable[..., Carry]) -> Callable[..., Carry]:
    """Deletes the carry that is given to a call, as a device does that reuses its
    memory: whoever looks at it later fails."""

    def call(carry: Carry, data: Any, steps: int) -> Carry:
        after = jax.block_until_ready(advance(carry, data, steps))
        for array in jax.tree.leaves(carry):
            if not array.is_deleted():
                array.delete()
        return after

    return call


def train_population(
    config: Any, rates: list[float], stop_at: int = 0
) -> tuple[list[Kept], list[Records], Any]:
    """Trains runs that differ in rate and seed, and validates them by their seeds."""
    config.train.steps, config.train.log_every, config.train.evaluate_every = 8, 4, 2
    config.dataset.validation_size = 20
    config.runtime.steps_per_call = config.runtime.checkpoint_every = 6
    base = build(config)
    program, runs = make_program(base), []
    for seed, rate in enumerate(rates):
        own = config.copy_and_resolve_references()
        own.seed, own.optimizer.learning_rate = seed, rate
        runs.append(vary(base, own))
    kept = [Kept() for _ in runs]
    records: Any = [Records(Clock({}), k, k, lambda *_: None) for k in kept]

    def validate(state: TrainState) -> list[dict[str, float]]:
        return [{"validation/seed": float(seed)} for seed in state.seed]

    carry = train(
        base.placement.place([program.initialize(run) for run in runs]),
        give_away(program.advance),
        chunks(runs, program, 0),
        plan=program.plan,
        records=records,
        validate=validate,
        should_stop=lambda step: step == stop_at,
    )
    return kept, records, carry


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("size", "pipeline"),
    [(1, "resident"), (3, "resident"), (3, "stream"), (8, "stream")],
)
def test_a_run_that_diverges_harms_no_other(
    small_config, size: int, pipeline: str
) -> None:
    """What is written of the others is what is written of each of them alone, whether
    or not the arrays that a call is given are lost."""
    small_config.runtime.pipeline = pipeline
    small_config.precision = "float64"
    rates = [1e-3] * (size - 1) + [1e6]
    kept, records, carry = train_population(small_config, rates)
    diverged = [run.diverged for run in records]
    assert diverged[:-1] == [None] * (size - 1)
    assert diverged[-1].step == 2
    assert diverged[-1].last_good is None
    assert not kept[-1].saved and list(kept[-1].logged) == [2]
    for seed, own in enumerate(kept[:-1]):
        assert list(own.saved) == [6, 8]
        assert list(own.logged) == [2, 4, 6, 8]
        assert own.logged[2] == {"validation/seed": seed}
        assert own.logged[8].keys() > {"train/loss", "validation/seed"}
        _, totals = run_of(carry, seed)
        assert first_nonfinite(totals) is None
    if size == 3:
        small_config.seed = 0
        (alone, *_), _, _ = train_population(small_config, [1e-3])
        for step, metrics in alone.logged.items():
            assert metrics == pytest.approx(kept[0].logged[step], abs=1e-9)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
            alone.saved[8][0].params,
            kept[0].saved[8][0].params,
        )


@pytest.mark.slow
def test_runs_that_average_and_skip_are_those_alone(small_config) -> None:
    """Each skips updates of its own; in float64."""
    small_config.precision = "float64"
    small_config.optimizer.update({"ema_decay": 0.9, "skip_norm": 7.5})
    kept, _, _ = train_population(small_config, [1e-3] * 3)
    small_config.seed = 0
    (alone, *_), _, _ = train_population(small_config, [1e-3])
    for step, metrics in alone.logged.items():
        assert metrics == pytest.approx(kept[0].logged[step], abs=1e-9)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
        alone.saved[8][0],
        kept[0].saved[8][0],
    )
    skipped = [own.logged[4]["train/skipped"] for own in kept]
    assert len({*skipped}) > 1, skipped


@pytest.mark.slow
def test_a_population_that_is_stopped_is_saved(small_config) -> None:
    with pytest.raises(Interrupted, match="stopped and saved at step 4 of 8"):
        train_population(small_config, [1e-3, 1e-3], stop_at=4)


@pytest.mark.slow
def test_a_run_that_has_diverged_is_not_said_to_be_saved(small_config) -> None:
    """The call after which it is stopped logs nothing; its save finds the nan."""
    (kept,), (records,), _ = train_population(small_config, [1e6], stop_at=2)
    assert records.diverged is not None
    assert records.diverged.step == 2
    assert not kept.saved
