import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.latents.interpolate import curve_length, geodesic, linear, spherical


def pair(*shape: int) -> np.ndarray:
    """Returns two arrays of codes."""
    return np.random.default_rng(0).normal(size=(2, *shape)).astype("f4")


def directions(points: jax.Array | np.ndarray) -> np.ndarray:
    points = np.asarray(points, "f8")
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def angles(points: jax.Array) -> np.ndarray:
    """Between neighbours, precise for small ones too."""
    chords = np.diff(directions(points), axis=0)
    return 2 * np.arcsin(np.linalg.norm(chords, axis=-1) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("curve", [linear, spherical])
def test_curves_end_exactly_at_the_codes(curve) -> None:
    start, end = pair(3, 4, 5)
    for points in (
        curve(start, end, 7),
        jax.jit(curve, static_argnums=2)(start, end, 7),
    ):
        assert points.shape == (7, 3, 4, 5)
        np.testing.assert_array_equal(points[0], start)
        np.testing.assert_array_equal(points[-1], end)
    np.testing.assert_array_equal(curve(start, end, 2), [start, end])
    one = jax.vmap(lambda a, b: curve(a, b, 7))(start[:, 0], end[:, 0])
    np.testing.assert_allclose(one.swapaxes(0, 1), points[:, :, 0], atol=1e-6)


def test_linear_takes_equal_steps() -> None:
    start, end = pair(2, 3)
    points = linear(start, end, 5)
    np.testing.assert_allclose(points[1], 0.75 * start + 0.25 * end, rtol=1e-6)
    np.testing.assert_allclose(np.diff(points, n=2, axis=0), 0, atol=1e-6)


def test_spherical_stays_on_the_sphere_at_equal_angles() -> None:
    start, end = directions(pair(6, 3)).astype("f4")
    points = spherical(start, end, 9)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1, rtol=1e-6)
    angle = np.arccos((start * end).sum(-1))
    np.testing.assert_allclose(angles(points), np.tile(angle / 8, (8, 1)), rtol=1e-4)
    # White's formula (2016, sec. 2.1).
    t = np.linspace(0, 1, 9)[:, None, None]
    angle = angle[:, None]
    white = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
    np.testing.assert_allclose(points, white, atol=1e-5)


def test_spherical_takes_equal_steps_of_the_norm() -> None:
    start, end = pair(4, 10)
    end *= 5
    norms = np.linalg.norm(spherical(start, end, 6), axis=-1)
    np.testing.assert_allclose(norms, linear(norms[0], norms[-1], 6), rtol=1e-6)


@pytest.mark.parametrize("distance", [0, 1e-7, 1e-5, 1e-3])
def test_spherical_is_linear_between_codes_almost_alike(distance: float) -> None:
    start, noise = pair(8, 5)
    end = start + np.float32(distance) * noise
    points = spherical(start, end, 6)
    # An arc leaves its chord by an eighth of the squared angle.
    error = 5e-7 + distance**2
    np.testing.assert_allclose(points, linear(start, end, 6), atol=10 * error)


@pytest.mark.parametrize("distance", [0, 1e-6, 1e-4, 3e-4, 1e-3, 1e-2])
def test_spherical_turns_half_around_to_the_opposite(distance: float) -> None:
    start, noise = pair(20, 6)
    start = directions(start).astype("f4")
    end = -2 * start + np.float32(distance) * noise
    points = spherical(start, end, 9)
    steps = angles(points)
    np.testing.assert_allclose(steps.sum(0), np.pi, atol=2 * distance + 1e-3)
    np.testing.assert_allclose(steps, np.tile(steps.mean(0), (8, 1)), rtol=3e-3)
    np.testing.assert_allclose(
        np.linalg.norm(points[4], axis=-1), 1.5, atol=2 * distance + 1e-5
    )


def test_the_way_to_the_opposite_passes_an_axis_at_a_right_angle() -> None:
    points = spherical(np.array([2.0, 0, 0]), np.array([-2.0, 0, 0]), 5)
    np.testing.assert_allclose(points[2], [0, 2, 0], atol=1e-6)


def test_a_code_without_direction_takes_the_others() -> None:
    end, _ = pair(4, 3)
    straight = linear(np.zeros_like(end), end, 5)
    np.testing.assert_allclose(
        spherical(np.zeros_like(end), end, 5), straight, atol=1e-6
    )
    np.testing.assert_allclose(
        spherical(end, np.zeros_like(end), 5), straight[::-1], atol=1e-6
    )
    assert not spherical(np.zeros(3), np.zeros(3), 5).any()


def cylinder(z: jax.Array) -> jax.Array:
    """From angle and height."""
    return jnp.stack([jnp.cos(z[:, 0]), jnp.sin(z[:, 0]), z[:, 1]], axis=-1)


def sphere(z: jax.Array) -> jax.Array:
    """From polar angle and longitude; shaped like an image."""
    ring = jnp.sin(z[:, 0])
    x, y = ring * jnp.cos(z[:, 1]), ring * jnp.sin(z[:, 1])
    return jnp.stack([x, y, jnp.cos(z[:, 0])], axis=-1).reshape(-1, 3, 1, 1)


def network(z: jax.Array) -> jax.Array:
    keys = jax.random.split(jax.random.key(0), 2)
    hidden = jnp.tanh(z @ jax.random.normal(keys[0], (z.shape[-1], 30)))
    return jax.nn.sigmoid(hidden @ jax.random.normal(keys[1], (30, 40)))


def test_the_shortest_curve_on_a_cylinder_is_a_helix() -> None:
    start, end = jnp.array([0.2, -1.0]), jnp.array([2.2, 0.5])
    found = geodesic(cylinder, start, end, 21)
    np.testing.assert_allclose(found.points, linear(start, end, 21), atol=1e-3)
    # Twenty chords of equal arcs.
    length = np.sqrt((2 * 20 * np.sin(2.0 / 40)) ** 2 + 1.5**2)
    assert curve_length(cylinder, found.points) == pytest.approx(length, rel=1e-5)
    assert found.energy == pytest.approx(length**2 / 20, rel=1e-5)


def test_the_shortest_curve_on_a_sphere_is_a_great_circle() -> None:
    start, end = jnp.array([0.7, 0.0]), jnp.array([1.0, 2.0])
    found = geodesic(sphere, start, end, 21)
    np.testing.assert_array_equal(found.points[np.array([0, -1])], [start, end])
    images = np.asarray(sphere(found.points), "f8").reshape(21, 3)
    angle = np.arccos(images[0] @ images[-1])
    # Chords of n equal arcs are shorter than these by a share of (angle / n)^2 / 24.
    assert curve_length(sphere, found.points) == pytest.approx(
        angle * (1 - (angle / 20) ** 2 / 24), rel=1e-4
    )
    normal = np.cross(images[0], images[-1]) / np.sin(angle)
    np.testing.assert_allclose(images @ normal, 0, atol=2e-3)
    np.testing.assert_allclose(angles(jnp.asarray(images)), angle / 20, rtol=0.02)
    straight = linear(start, end, 21)
    assert curve_length(sphere, found.points) < 0.95 * curve_length(sphere, straight)


@pytest.mark.slow
def test_a_geodesic_is_never_worse_than_the_straight_line() -> None:
    starts, ends = pair(6, 8)
    ends[0] = starts[0]  # nothing to go
    found = jax.vmap(lambda a, b: geodesic(network, a, b, 12))(starts, ends)
    assert (found.energy <= found.straight_energy).all()
    assert (found.energy[1:] < 0.99 * found.straight_energy[1:]).all()
    np.testing.assert_array_equal(found.points[:, 0], starts)
    np.testing.assert_array_equal(found.points[:, -1], ends)
    np.testing.assert_allclose(found.points[0], np.tile(starts[0], (12, 1)), atol=1e-6)
    lengths = jax.vmap(lambda points: curve_length(network, points))
    straight = lengths(linear(starts, ends, 12).swapaxes(0, 1))
    shortest = lengths(found.points)
    assert (shortest[1:] < straight[1:]).all()
    # Along it images change evenly, by which energy and length agree.
    np.testing.assert_allclose(found.energy, shortest**2 / 11, rtol=0.05, atol=1e-6)
    alone = geodesic(network, starts[3], ends[3], 12)
    assert alone.energy == pytest.approx(float(found.energy[3]), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("num_points", [2, 3])
def test_a_geodesic_of_few_points(num_points: int) -> None:
    start, end = pair(8)
    found = geodesic(network, start, end, num_points)
    assert found.points.shape == (num_points, 8)
    assert (found.energy < found.straight_energy) == (num_points > 2)


def test_a_decoder_that_ignores_its_code_leaves_the_straight_line() -> None:
    start, end = pair(2, 3)
    for level in (0.5, jnp.nan):
        found = geodesic(lambda z, level=level: 0 * z + level, start, end, 5)
        np.testing.assert_array_equal(found.points, linear(start, end, 5))
