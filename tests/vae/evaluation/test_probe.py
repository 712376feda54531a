from collections.abc import Iterator

import jax
import numpy as np
import pytest

from vae.data import sources
from vae.evaluation import probe
from vae.evaluation.probe import fit_measured_attributes, measure, train_probe
from vae.types import Unsupported

SIDE = 10  # not to be halved twice


@pytest.fixture(autouse=True, scope="module")
def _short() -> Iterator[None]:
    """Tests run unoptimised programs, in which a step takes four times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "STEPS", 300)
        yield


def bars(seed: int, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draws bars in noise: upright or level, on the near or the far side."""
    random = np.random.default_rng(seed)
    upright, far = random.integers(2, size=(2, count))
    images = random.integers(0, 128, (count, SIDE, SIDE, 1), np.uint8)
    for image, is_upright, is_far in zip(images, upright, far, strict=True):
        place = slice(7, 9) if is_far else slice(1, 3)
        image[(slice(None), place) if is_upright else place] = 255
    return images, {"upright": upright, "far": far}


@pytest.fixture(scope="module")
def trained() -> probe.Probe:
    return train_probe(*bars(0, 500), seed=0)


@pytest.mark.slow
def test_bars_are_learnt_exactly(trained: probe.Probe) -> None:
    images, attributes = bars(1, 2 * probe.ROWS + 1)
    read = trained.read(images)
    for name, values in attributes.items():
        np.testing.assert_array_equal(read[name], values)
    assert read.keys() == attributes.keys()


def test_features(trained: probe.Probe) -> None:
    images, _ = bars(1, probe.ROWS + 3)
    features = trained.features(images)
    assert isinstance(features, np.ndarray)
    assert features.shape == (probe.ROWS + 3, 84)
    # An image has the same features in any batch, and in any type.
    np.testing.assert_allclose(trained.features(images[-4:]), features[-4:], atol=1e-4)
    scaled = trained.features(images[-4:] / 255)
    np.testing.assert_allclose(scaled, features[-4:], atol=1e-4)


@pytest.mark.slow
def test_a_seed_gives_one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "STEPS", 30)
    first, same, other = (train_probe(*bars(0, 500), seed=seed) for seed in (0, 0, 1))
    for params, again in zip(
        jax.tree.leaves(first.params), jax.tree.leaves(same.params), strict=True
    ):
        np.testing.assert_array_equal(params, again)
    images, _ = bars(1, 5)
    assert np.abs(first.features(images) - other.features(images)).max() > 0.1


@pytest.mark.slow
def test_a_probe_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "STEPS", 150)
    jax.config.update("jax_enable_x64", True)
    images, attributes = bars(0, 500)
    read = train_probe(images / 255, attributes, seed=0).read(images)
    np.testing.assert_array_equal(read["upright"], attributes["upright"])


@pytest.mark.slow
def test_digits_of_mnist(mnist_dir: str) -> None:
    train, test, *_ = sources.load("mnist", mnist_dir)
    digits = train_probe(train.images, {"digit": train.labels}, seed=0)
    some = slice(None, None, 5)
    correct = digits.read(test.images[some])["digit"] == test.labels[some]
    assert correct.mean() > 0.96


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"far": np.zeros(3, int)},
        {"far": np.zeros(4)},
    ],
)
def test_attributes_that_are_none_are_refused(attributes) -> None:
    with pytest.raises(Unsupported):
        train_probe(bars(0, 4)[0], attributes, seed=0)


@pytest.mark.slow
def test_values_need_not_be_counted_from_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "STEPS", 200)
    images = np.repeat(np.uint8([0, 255, 120]), 20)[:, None, None, None]
    images = np.tile(images, (1, 8, 8, 1))
    values = np.repeat([-1, 7, 10**9], 20)
    found = train_probe(images, {"label": values}, seed=0)
    assert found.network.heads == (("label", 3),)
    np.testing.assert_array_equal(found.read(images)["label"], values)


def line(step: int, *, shift: int = 0) -> np.ndarray:
    """An image [1, 30, 30, 1] of a line that moves `step` pixels to the right for each
    pixel upwards."""
    image = np.zeros((1, 30, 30, 1), np.uint8)
    for row in range(11, 20):
        image[0, row, 15 + shift + step * (15 - row)] = 255
    return image


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_the_slant_of_a_line(step: int) -> None:
    """Nine pixels have a variance of 80/12 in their places, and 81/12 with their
    sides."""
    (slant,) = measure(line(step))["slant"]
    assert slant == pytest.approx(step * 80 / 81, abs=1e-12)
    assert measure(line(step, shift=4))["slant"] == pytest.approx(slant, abs=1e-12)


def rectangle(height: int, width: int, channels: int = 1) -> np.ndarray:
    image = np.zeros((1, 30, 30, channels), np.uint8)
    image[:, 3 : 3 + height, 5 : 5 + width] = 255
    return image


def test_ink_and_width_of_rectangles() -> None:
    for height, width in ((1, 1), (1, 9), (10, 3), (10, 6)):
        got = measure(rectangle(height, width))
        assert got["ink"] == pytest.approx(height * width / 900)
        assert got["width"] == pytest.approx(width / height)
        assert got["slant"] == pytest.approx(0, abs=1e-12)


def test_a_black_image_is_measured() -> None:
    got = measure(np.zeros((2, 5, 4, 1), np.uint8))
    for name, value in (("ink", 0), ("slant", 0), ("width", 1)):
        np.testing.assert_array_equal(got[name], [value, value])


def test_channels_are_averaged_and_bytes_scaled() -> None:
    red = rectangle(10, 3, channels=3) * np.array([1, 0, 0], np.uint8)
    grey = measure(rectangle(10, 3) / 255.0)
    assert measure(red)["ink"] == pytest.approx(grey["ink"] / 3)
    assert measure(red)["width"] == pytest.approx(grey["width"])


def test_medians_are_those_of_the_images_fitted_to() -> None:
    count = probe.ROWS + 2
    random = np.random.default_rng(0)
    images = np.concatenate(
        [rectangle(*random.integers(2, 20, 2)) for _ in range(count)]
    )
    images[:, :, 0] = random.integers(0, 50, (count, 30, 1))  # so that none are equal
    fitted = fit_measured_attributes(images)
    for values in fitted.read(images).values():
        assert set(values) == {0, 1}
        assert values.sum() == count // 2
    assert fitted.read(rectangle(20, 20))["ink"] == [1]
    assert fitted.read(rectangle(2, 20))["width"] == [1]
    assert fitted.read(np.concatenate([line(1), line(-1)]))["slant"].tolist() == [1, 0]
