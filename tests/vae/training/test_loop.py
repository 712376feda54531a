from vae.training.loop import TrainPlan


def test_calls_end_wherever_something_is_due() -> None:
    plan = TrainPlan(
        steps=50, steps_per_call=20, log_every=15, evaluate_every=0, checkpoint_every=25
    )
    ends = [end for _, end in plan.calls(0)]
    assert ends == [15, 20, 25, 30, 40, 45, 50]
    assert plan.calls(20) == [(20, 25), (25, 30), (30, 40), (40, 45), (45, 50)]
    assert [step for step in range(1, 51) if plan.is_logged(step)] == [15, 30, 45, 50]
