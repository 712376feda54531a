import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae.training import optimizer


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (optimizer.constant(), {0: 2.0, 99: 2.0}),
        (optimizer.cosine(total_steps=100), {0: 2.0, 50: 1.0, 100: 0.0}),
        (
            optimizer.with_warmup(optimizer.constant(), warmup_steps=4),
            {0: 0.5, 3: 2.0, 9: 2.0},
        ),
        # Burda et al.: 1, 3, 9, ... epochs of 10 steps each, at 10^(-i/7)
        (
            optimizer.iwae(steps_per_epoch=10),
            {0: 2, 9: 2, 10: 2 * 10 ** (-1 / 7), 39: 2 * 10 ** (-1 / 7)}
            | {40: 2 * 10 ** (-2 / 7), 129: 2 * 10 ** (-2 / 7)}
            | {10_930: 0.2, 32_799: 0.2, 10_929: 2 * 10 ** (-6 / 7)},
        ),
    ],
)
def test_schedules(schedule, values: dict[int, float]) -> None:
    for step, expected in values.items():
        got = jax.jit(schedule)(jnp.float32(2), jnp.int32(step))
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_the_traced_learning_rate_gives_optax_adam() -> None:
    jax.config.update("jax_enable_x64", True)
    params = {"a": jnp.arange(3.0), "b": jnp.ones((2, 2))}
    ours = optimizer.make_optimizer(
        optimizer.scale_by_adam(), optimizer.constant(), clip_norm=1.0
    )
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    states = ours.init(params), theirs.init(params)
    hparams = {"learning_rate": jnp.float64(0.1)}
    for step in range(3):
        grads = jax.tree.map(lambda p, step=step: p + step, params)
        got, our_state = ours.update(grads, states[0], hparams=hparams, step=step)
        expected, their_state = theirs.update(grads, states[1])
        states = our_state, their_state
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, expected
        )


@pytest.mark.parametrize("eps", [1e-8, 1e-4, 1.0])
def test_adam_is_that_of_optax(eps: float) -> None:
    """In float64 to its digits, from states of the same kind."""
    jax.config.update("jax_enable_x64", True)
    random = np.random.default_rng(0)
    ours, theirs = (
        f(b1=0.8, b2=0.9, eps=eps)
        for f in (optimizer.scale_by_adam, optax.scale_by_adam)
    )
    params = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2), jnp.float64)}
    states = ours.init(params), theirs.init(params)
    for _ in range(20):
        grads = jax.tree.map(lambda p: random.normal(size=p.shape) ** 3, params)
        got, our_state = ours.update(grads, states[0])
        expected, their_state = theirs.update(grads, states[1])
        states = our_state, their_state
        for a, b in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, *states))


@pytest.mark.parametrize("name", ["adamw", "adamax"])
def test_kernels_decay_and_the_rest_does_not(name: str) -> None:
    """As in optax, at a rate that changes; averages and the objective's parameters are
    as without decay."""
    jax.config.update("jax_enable_x64", True)
    schedule, decay = optax.linear_schedule(0.1, 0.02, 5), 0.3 * (name == "adamw")
    scaling = {"adamw": optimizer.scale_by_adam, "adamax": optimizer.scale_by_adamax}
    of_model = optimizer.make_optimizer(
        scaling[name](), lambda peak, step: schedule(step) * peak, weight_decay=decay
    )
    own = optimizer.multiplier_optimizer()
    ours = optimizer.by_part(of_model, own)
    layer = {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 2.0)}
    params = {
        "model": {"layer": layer, "average_sum": jnp.full((2, 2), 2.0)},
        "objective": {"kernel": jnp.full((2, 2), 2.0)},
    }
    mask = {"kernel": True, "bias": False}
    theirs = (
        optax.adamw(schedule, weight_decay=decay, mask=mask)
        if name == "adamw"
        else optax.adamax(schedule)
    )
    state, other, expected = ours.init(params), theirs.init(layer), layer
    hparams = dict.fromkeys(
        ("learning_rate", "multiplier_learning_rate"), jnp.array(1.0)
    )
    for step in range(4):
        grads = jax.tree.map(lambda p, step=step: 0.1 * jnp.sin(p + step), params)
        of_layer = jax.tree.map(lambda p, step=step: 0.1 * jnp.sin(p + step), expected)
        updates, state = ours.update(grads, state, params, hparams=hparams, step=step)
        plain = -0.01 * grads["model"]["average_sum"]
        np.testing.assert_allclose(updates["model"]["average_sum"], plain, rtol=1e-6)
        np.testing.assert_allclose(
            updates["objective"]["kernel"], -grads["objective"]["kernel"], rtol=1e-6
        )
        params = optax.apply_updates(params, updates)
        updates, other = theirs.update(of_layer, other, expected)
        expected = optax.apply_updates(expected, updates)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
            params["model"]["layer"],
            expected,
        )


def test_adagrad_is_that_of_its_paper() -> None:
    """Duchi et al. 2011, fig. 1: gradients over the root of all squares so far."""
    scaling = optimizer.scale_by_adagrad()
    gradients = jnp.array([[3.0, -0.5], [4.0, 2.0]])
    state = scaling.init(gradients[0])
    for step in range(2):
        update, state = scaling.update(gradients[step], state)
        squares = (gradients[: step + 1] ** 2).sum(axis=0)
        np.testing.assert_allclose(update, gradients[step] / jnp.sqrt(squares), 1e-5)


@pytest.mark.parametrize("is_centred", [False, True])
def test_rmsprop_is_that_of_its_lecture(is_centred: bool) -> None:
    """Tieleman & Hinton 2012, lecture 6.5: over the root of a mean of squares; centred
    (Graves 2013, arXiv 1308.0850, eq. 38 to 40): over a standard deviation."""
    make = optimizer.scale_by_centered_rms if is_centred else optimizer.scale_by_rms
    scaling = make(b2=0.75)
    gradients = jnp.array([[3.0, -0.5], [4.0, 2.0]])
    state, mean, square = scaling.init(gradients[0]), jnp.zeros(2), jnp.zeros(2)
    for gradient in gradients:
        update, state = scaling.update(gradient, state)
        mean = 0.75 * mean + 0.25 * gradient
        square = 0.75 * square + 0.25 * gradient**2
        spread = square - mean**2 if is_centred else square
        np.testing.assert_allclose(update, gradient / jnp.sqrt(spread), 1e-5)


def test_a_gradient_that_stays_has_a_spread_of_zero() -> None:
    """By rounding the mean of squares is at times below the square of the mean."""
    gradient, eps = jnp.linspace(0.1, 1.0, 100), 1e-3
    scaling = optimizer.scale_by_centered_rms(b2=0.9, eps=eps)
    state, is_below = scaling.init(gradient), False
    for _ in range(300):
        update, state = scaling.update(gradient, state)
        is_below |= bool((state.nu < state.mu**2).any())
    assert is_below
    assert (update <= gradient / eps * (1 + 1e-6)).all()


def test_no_clipping_by_default() -> None:
    tx = optimizer.make_optimizer(optax.identity(), optimizer.constant())
    grads = {"a": jnp.full(3, 1e6)}
    hparams = {"learning_rate": jnp.float32(1.0)}
    updates, _ = tx.update(grads, tx.init(grads), hparams=hparams, step=0)
    np.testing.assert_array_equal(updates["a"], -grads["a"])


def test_each_part_is_optimized_in_its_own_way() -> None:
    """Moving averages take plain steps, whatever Adam and clipping do to the rest."""
    own = optimizer.make_optimizer(
        optax.identity(), optimizer.constant(), rate_name="own_rate"
    )
    adam = optimizer.make_optimizer(
        optax.scale_by_adam(), optimizer.constant(), clip_norm=1e-3
    )
    tx = optimizer.by_part(adam, own)
    params = {
        "model": {"layer": {"kernel": jnp.ones(2), "average_sum": jnp.full(2, 5.0)}},
        "objective": {"weight": jnp.ones(()), "average_excess": jnp.full((), 3.0)},
    }
    grads = jax.tree.map(lambda leaf: 100 * jnp.ones_like(leaf), params)
    hparams = {"learning_rate": jnp.float32(1e-2), "own_rate": jnp.float32(0.5)}
    updates, _ = tx.update(grads, tx.init(params), params, hparams=hparams, step=0)
    layer, objective = updates["model"]["layer"], updates["objective"]
    np.testing.assert_allclose(layer["kernel"], -1e-2, rtol=1e-3)  # Adam's first step
    np.testing.assert_allclose(layer["average_sum"], -0.01 * 100, rtol=1e-5)
    np.testing.assert_allclose(objective["average_excess"], -0.01 * 100, rtol=1e-5)
    np.testing.assert_allclose(objective["weight"], -0.5 * 100, rtol=1e-5)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("inputs", "share"), [(7, 1.0), (8, 1.0), (32, 0.25)])
def test_a_wide_layer_steps_no_further_than_others(
    inputs: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "WIDE", 8)
    tx = optimizer.make_optimizer(optimizer.scale_by_adam(), optimizer.constant())
    params = {
        "kernel": jnp.zeros((inputs, 3)),
        "bias": jnp.zeros(inputs),
        "conv": {"kernel": jnp.zeros((inputs, 2, 2, 3))},
    }
    gradients = jax.tree.map(jnp.ones_like, params)
    hparams = {"learning_rate": jnp.float32(0.1)}
    state = tx.init(params)
    updates, _ = tx.update(gradients, state, params, hparams=hparams, step=0)
    np.testing.assert_allclose(updates["kernel"], -0.1 * share, rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], -0.1, rtol=1e-5)
    np.testing.assert_allclose(updates["conv"]["kernel"], -0.1, rtol=1e-5)
