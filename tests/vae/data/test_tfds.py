import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets

from tests.helpers.stores import SIZES, Store, grid, install, pictures, shuffled
from vae.data import factors as factor_data
from vae.data import tfds
from vae.data.factors import FactorSource
from vae.data.sources import factor_source, load
from vae.evaluation.disentanglement.scores import Protocol, score_all
from vae.types import UserError


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """A whole store, by default of dsprites."""
    name = getattr(request, "param", "dsprites")
    whole = Store(name, tmp_path, shuffled(name))
    return install(whole, monkeypatch, tmp_path)


def source_of(name: str) -> FactorSource:
    source = factor_source(name)
    assert source is not None
    return source


@pytest.mark.parametrize(
    ("name", "count"),
    [("dsprites", 737_280), ("shapes3d", 480_000), ("smallnorb", 48_600)],
)
def test_tfds_knows_the_factors(name: str, count: int, tmp_path: Path) -> None:
    builder = tensorflow_datasets.builder(name, data_dir=tmp_path)
    labels = {
        key: feature.num_classes
        for key, feature in builder.info.features.items()
        if type(feature).__name__ == "ClassLabel"
    }
    assert tuple(labels) == tfds.FACTORS[name]
    assert math.prod(labels.values()) == count


@pytest.mark.parametrize("store", SIZES, indirect=True)
def test_factors_find_their_images(store: Store) -> None:
    source = source_of(store.name)
    assert source.sizes == SIZES[store.name]
    assert source.names[-1] in ("y_position", "orientation", "lighting")
    factors = factor_data.factors_at(source, np.arange(factor_data.num_images(source)))
    np.testing.assert_array_equal(source.stored(factors), pictures(factors))
    some = factors[[7, 3, 7]]
    np.testing.assert_array_equal(source.stored(some), pictures(some))


@pytest.mark.parametrize("store", SIZES, indirect=True)
def test_images_and_factors_are_decoded_once(store: Store) -> None:
    first = load(store.name)
    source = source_of(store.name)
    again = load(store.name)
    assert sorted(store.decoded) == sorted(store.factors)
    for split, cached in zip(first[:2], again[:2], strict=True):
        np.testing.assert_array_equal(split.labels, cached.labels)
        for images in (split.images, cached.images):  # views of the file, no copies
            assert isinstance(images, np.memmap)
            np.testing.assert_array_equal(images, cached.images)
    factors = grid(store.name)
    np.testing.assert_array_equal(source.stored(factors), pictures(factors))


def test_the_first_of_a_shuffled_store_are_test(store: Store) -> None:
    train, test, *_ = load("dsprites")
    factors = store.factors["train"]
    count = len(factors) // 10
    np.testing.assert_array_equal(test.images, pictures(factors[:count]))
    np.testing.assert_array_equal(train.images, pictures(factors[count:]))
    np.testing.assert_array_equal(train.labels, factors[count:, 0])


def test_no_more_are_test_than_of_sprites(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "TEST_SIZE", 5)
    assert [split.size for split in load("dsprites")[:2]] == [139, 5]


@pytest.mark.parametrize("store", ["smallnorb"], indirect=True)
def test_splits_of_tfds_are_kept(store: Store) -> None:
    for split, which in zip(load("smallnorb")[:2], ("train", "test"), strict=True):
        np.testing.assert_array_equal(split.images, pictures(store.factors[which]))
        np.testing.assert_array_equal(split.labels, store.factors[which][:, 0])


def test_pixels_of_0_and_1_are_scaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(factors: np.ndarray) -> np.ndarray:
        return pictures(factors) // 20 % 2

    store = Store("dsprites", tmp_path, shuffled("dsprites"), draw)
    install(store, monkeypatch, tmp_path)
    factors = grid("dsprites")
    images = source_of("dsprites").stored(factors)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, 255 * draw(factors))


WHOLE = grid("dsprites")
BAD_GRIDS = {
    "missing": (WHOLE[2:], "144 combinations .* 2 have no image and 0 have more"),
    "several": (np.concatenate([WHOLE, WHOLE[:1]]), "0 have no image and 1 have more"),
    "both": (WHOLE[[0, 0, *range(2, 144)]], "1 have no image and 1 have more than one"),
}


@pytest.mark.parametrize("case", BAD_GRIDS)
def test_what_is_no_grid_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors, message = BAD_GRIDS[case]
    install(Store("dsprites", tmp_path, {"train": factors}), monkeypatch, tmp_path)
    with pytest.raises(UserError, match=f"dataset.name=dsprites: of the .*{message}"):
        factor_source("dsprites")


def test_half_of_smallnorb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {"train": shuffled("smallnorb")["train"]}
    install(Store("smallnorb", tmp_path, half), monkeypatch, tmp_path)
    with pytest.raises(UserError, match="72 have no image and 0"):
        factor_source("smallnorb")


@pytest.mark.parametrize("store", SIZES, indirect=True)
def test_images_that_share_a_factor_share_its_pixel(store: Store) -> None:
    source = source_of(store.name)
    for factor in range(len(source.sizes)):
        random = np.random.default_rng(0)
        factors = factor_data.sample_sharing(source, random, factor, 40)
        pixels = source.stored(factors).reshape(40, -1)[:, : len(source.sizes)]
        assert np.flatnonzero(np.ptp(pixels, axis=0) == 0).tolist() == [factor]


@pytest.mark.usefixtures("store")
def test_codes_read_from_the_images_score_one() -> None:
    source = source_of("dsprites")

    def encode(factors: np.ndarray) -> np.ndarray:
        return source.stored(factors).reshape(len(factors), -1)[:, :5] / 20

    scores = score_all(
        encode,
        source,
        seed=0,
        protocol=Protocol(num_train=1000, num_test=200, batch_size=16),
        metrics=("factor_vae", "mig"),
    )
    assert scores["disentanglement/factor_vae"] == 1
    assert scores["disentanglement/mig"] > 0.95
