"""Against the Jacobian of automatic differentiation, and quadrature."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.distributions.transformed import TransformedDistribution
from vae.nn import flows

CONTEXT = 3
SINGLE = {
    "planar": flows.Planar,
    "iaf": lambda dim, **kwargs: flows.InverseAutoregressive(dim, (8,), **kwargs),
    "coupling": lambda dim, **kwargs: flows.Coupling(dim, (6, 7), **kwargs),
}


def make(name: str, dim: int, depth: int | None, **kwargs: Any) -> nn.Module:
    """One flow, or a stack of `depth`."""
    layers = [SINGLE[name](dim, **kwargs) for _ in range(depth or 1)]
    return flows.Chain(layers) if depth else layers[0]


def random_variables(module: nn.Module, *arguments: Any, scale: float = 0.7) -> Any:
    """Normal numbers for all parameters, also for those that start at zero."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(0, scale, leaf.shape), leaf.dtype),
        shapes,
    )


def points(*shape: int, seed: int = 1) -> jax.Array:
    """Normal numbers, in JAX's present precision."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), float)


def standard_normal(*shape: int) -> Independent:
    return Independent(Normal(jnp.zeros(shape), jnp.ones(shape)), 1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("dim", "depth", "conditional"),
    [(1, None, True), (3, None, False), (5, 2, True)],
)
@pytest.mark.parametrize("name", SINGLE)
def test_log_det_is_that_of_the_jacobian_and_inverse_undoes(
    name: str, dim: int, depth: int | None, conditional: bool
) -> None:
    jax.config.update("jax_enable_x64", True)
    flow, u = make(name, dim, depth, dtype=jnp.float64), points(6, dim)
    context = points(6, CONTEXT, seed=2) if conditional else None
    variables = random_variables(flow, u, context)

    def forward(u, context):
        z, log_det = flow.apply(variables, u, context)
        return z, (z, log_det)

    @jax.jit
    def forward_and_back():
        jacobian = jax.vmap(jax.jacfwd(forward, has_aux=True))
        slopes, (z, log_det) = jacobian(u, context)
        if name == "planar":
            return slopes, log_det, (u, log_det)
        return slopes, log_det, flow.apply(variables, z, context, method="inverse")

    slopes, log_det, (u_back, log_det_back) = forward_and_back()
    assert log_det.shape == (6,)
    # The rounding of float64, amplified by the condition of the maps, is far below.
    np.testing.assert_allclose(log_det, np.linalg.slogdet(slopes)[1], atol=1e-8)
    np.testing.assert_allclose(u_back, u, atol=1e-8)
    np.testing.assert_allclose(log_det_back, log_det, atol=1e-8)


def test_inverse_of_a_planar_stack_is_refused() -> None:
    flow, u = make("planar", 3, 2), points(2, 3)
    variables = random_variables(flow, u)
    with pytest.raises(NotImplementedError, match="Planar has no inverse"):
        flow.apply(variables, u, method="inverse")


def test_autoregressive_inverse_survives_steep_networks() -> None:
    """Dimensions that are not yet solved must not overflow into the others."""
    flow, u = flows.InverseAutoregressive(5, (32,)), points(500, 5)
    variables = random_variables(flow, u, scale=2.0)

    @jax.jit
    def forward_and_back():
        z, log_det = flow.apply(variables, u)
        return log_det, flow.apply(variables, z, method="inverse")[0]

    log_det, back = forward_and_back()
    solvable = log_det > -6  # gates of e^-6 amplify rounding, and that once more
    assert solvable.sum() > 200
    np.testing.assert_allclose(back[solvable], u[solvable], atol=0.02)


def test_planar_maps_are_invertible() -> None:
    """det > 0 by the Jacobian: log_det takes an absolute value."""
    jax.config.update("jax_enable_x64", True)
    flow, u, context = flows.Planar(3, jnp.float64), points(500, 3), points(500, 4)

    @jax.jit
    def slopes_and_log_det(variables):
        slopes = jax.vmap(jax.jacfwd(lambda u, c: flow.apply(variables, u, c)[0]))
        return slopes(u, context), flow.apply(variables, u, context)[1]

    for scale in (0.01, 0.3, 1.0, 2.0):
        variables = random_variables(flow, u, context, scale=scale)
        slopes, log_det = slopes_and_log_det(variables)
        sign, expected = np.linalg.slogdet(slopes)
        assert (sign > 0).all()
        # w v of -20 leaves a stretch of 1e-9, which rounding reaches
        np.testing.assert_allclose(log_det, expected, atol=1e-4)


@pytest.mark.parametrize("product", [-10.0, -17.0, -25.0])
def test_a_steep_planar_map_has_a_finite_log_det(product: float) -> None:
    """w v + 1 is softplus(product), which rounds to zero as a difference."""
    w = np.full(8, 0.5)
    v = w * product / (w @ w)
    bias, u = np.concatenate([v, w, [0]]), points(20_000, 8)
    params = {"kernel": np.zeros((1, 17)), "bias": bias}
    variables = {"params": {"parameters": jax.tree.map(jnp.float32, params)}}
    log_det = jax.jit(flows.Planar(8).apply)(variables, u)[1]
    bent = np.tanh(np.asarray(u, np.float64) @ w)
    most = np.log1p(np.exp(product))
    expected = np.log(bent**2 + (1 - bent**2) * most)
    # bent^2 near 0 is known to the rounding of w u.
    np.testing.assert_allclose(log_det, expected, rtol=1e-3, atol=1e-2)


def test_a_planar_map_without_direction_is_the_identity() -> None:
    u = points(5, 3)
    variables = {"params": {"parameters": {"kernel": jnp.zeros((1, 7))}}}
    variables["params"]["parameters"]["bias"] = jnp.zeros(7)
    z, log_det = flows.Planar(3).apply(variables, u)
    np.testing.assert_array_equal(z, u)
    np.testing.assert_allclose(log_det, 0, atol=1e-6)


@pytest.mark.parametrize(("dim", "depth"), [(5, 1), (5, 2)])
def test_coupling_starts_as_the_identity_up_to_reversal(dim: int, depth) -> None:
    flow, u = make("coupling", dim, depth), points(4, dim)
    (z, log_det), _ = flow.init_with_output(jax.random.key(0), u)
    np.testing.assert_array_equal(z, u[:, ::-1] if depth == 1 else u)
    np.testing.assert_array_equal(log_det, np.zeros(4))


@pytest.mark.parametrize(
    ("groups", "inputs", "outputs", "widths", "conditional"),
    [
        (1, 2, 3, (4,), True),
        (2, 1, 1, (1,), False),
        (3, 2, 4, (5, 7), False),
        (5, 1, 2, (4, 6), True),
        (4, 3, 1, (), True),
    ],
)
def test_outputs_depend_on_all_earlier_groups_and_no_other(
    groups: int, inputs: int, outputs: int, widths: tuple, conditional: bool
) -> None:
    network = flows.Autoregressive(groups, inputs, outputs, widths)
    x, context = points(groups * inputs), points(CONTEXT) if conditional else None
    variables = random_variables(network, x, context)
    jacobian = jax.jit(jax.jacfwd(lambda x: network.apply(variables, x, context)))(x)
    assert jacobian.shape == (groups, outputs, groups * inputs)
    blocks = jacobian.reshape(groups, outputs, groups, inputs)
    depends = np.moveaxis(np.asarray(blocks != 0), 1, 2)  # [to, from, out, in]
    earlier = np.tril(np.ones((groups, groups), bool), -1)
    np.testing.assert_array_equal(depends.any((-1, -2)), earlier)
    np.testing.assert_array_equal(depends.all((-1, -2)), earlier)


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_jit_agrees_with_eager_on_many_samples(name: str) -> None:
    """XLA on CPU miscompiles some fused sums at this size: see `flows._dot`."""
    flow, u, context = make(name, 4, None), points(400, 100, 4), points(100, CONTEXT)
    variables = random_variables(flow, u, context, scale=0.4)
    q = TransformedDistribution(standard_normal(100, 4), flow, variables, context)
    expected, found = (
        q.push(u),
        jax.jit(TransformedDistribution.push)(q, u),
    )
    for eager, compiled in zip(expected, found, strict=True):
        # rounding, amplified where the slope of a planar map is small
        np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-3)


def test_flowed_density_integrates_to_one() -> None:
    flow = make("coupling", 2, 2)
    q = TransformedDistribution(
        standard_normal(2), flow, random_variables(flow, points(2), scale=0.5)
    )
    axis = jnp.linspace(-20, 20, 801)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1)
    density = jnp.exp(jax.jit(TransformedDistribution.log_prob)(q, grid))
    # The rule of rectangles is exact for smooth densities that fade at the border.
    total = density.sum() * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(total, 1, atol=1e-4)


def test_flowed_is_a_pytree_whose_densities_agree() -> None:
    flow, u, context = make("iaf", 3, 2), points(7, 4, 3), points(4, CONTEXT)
    variables = random_variables(flow, u, context)
    q = TransformedDistribution(standard_normal(4, 3), flow, variables, context)
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))

    @jax.jit
    def push_and_back(q: TransformedDistribution, u: jax.Array):
        z, log_prob = q.push(u)
        return q, z, log_prob, q.log_prob(z)

    returned, z, log_prob, found = push_and_back(q, u)
    assert isinstance(returned, TransformedDistribution)
    assert jax.tree.structure(returned) == jax.tree.structure(q)
    assert (z.shape, log_prob.shape) == ((7, 4, 3), (7, 4))
    np.testing.assert_allclose(found, log_prob, rtol=1e-4, atol=1e-4)  # rounding
