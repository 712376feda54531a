import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae.build import build
from vae.data.options import ReadOptions
from vae.data.sources import load, load_other
from vae.types import UserError


def draw(folder: Path, *names: str, size: tuple[int, int] = (5, 4)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("L", size, color=i).save(folder / name)


def test_folder_of_pictures(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i:02}.png" for i in range(20)))
    train, test, *_ = load(f"images:{tmp_path}")
    assert train.images.shape == (18, 4, 5, 1)
    kept = [i for i in range(20) if i % 10 != 9]
    np.testing.assert_array_equal(np.sort(train.images[:, 0, 0, 0]), kept)
    np.testing.assert_array_equal(test.images[:, 0, 0, 0], [9, 19])


def test_folder_with_train_and_test_in_colour(tmp_path: Path) -> None:
    draw(tmp_path / "train", "a.png", "b.png")
    draw(tmp_path / "test", "a.png")
    Image.new("RGB", (5, 4), color=(1, 2, 3)).save(tmp_path / "train/c.png")
    train, test, *_ = load(f"images:{tmp_path}")
    assert train.images.shape == (3, 4, 5, 3)
    assert test.images.shape == (1, 4, 5, 3)
    assert [1, 2, 3] in train.images[:, 0, 0].tolist()


def test_folder_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load(f"images:{tmp_path}/absent")
    with pytest.raises(UserError, match="no pictures"):
        load(f"images:{tmp_path}")
    draw(tmp_path, "a.png")
    draw(tmp_path, "b.png", "c.png", size=(31, 32))
    with pytest.raises(UserError, match="a.png is 4x5, b.png is .*resize=31 "):
        load(f"images:{tmp_path}")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"1 of 3 files .* b.png \(not a picture\)"):
        load(f"images:{tmp_path}")


def grey(split_or_images) -> list[int]:
    """The grey level of each image, which is even."""
    images = getattr(split_or_images, "images", split_or_images)
    return images[:, 0, 0, 0].tolist()


def test_hidden_files_and_folders_are_no_pictures(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    for folder in (tmp_path, tmp_path / "__MACOSX", tmp_path / ".thumbnails/sub"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "._a.png").write_bytes(b"resource fork")
    draw(tmp_path / "__MACOSX", "c.png")
    draw(tmp_path / ".thumbnails/sub", "d.png")
    _, names = load_other(f"images:{tmp_path}", where="--score")
    assert names == ["a.png", "b.png"]


def test_a_hidden_folder_that_is_named_is_read(tmp_path: Path) -> None:
    draw(tmp_path / ".data", "a.png")
    _, names = load_other(f"images:{tmp_path}/.data", where="--score")
    assert names == ["a.png"]


def test_linked_folders_are_read_once_and_loops_end(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere", "c.png", "d.png")
    draw(tmp_path / "data/z", "a.png", "b.png")
    for link, target in (
        ("data/linked", "elsewhere"),  # outside
        ("data/copy", "data/z"),  # read as z
        ("data/z/up", "data"),  # a loop
        ("data/self", "data/self"),
    ):
        (tmp_path / link).symlink_to(tmp_path / target)
    _, names = load_other(f"images:{tmp_path}/data", where="--score")
    assert names == ["linked/c.png", "linked/d.png", "z/a.png", "z/b.png"]


def test_linked_train_and_test_are_used(tmp_path: Path) -> None:
    draw(tmp_path / "all/first", "a.png", "b.png")
    draw(tmp_path / "all/second", "c.png")
    (tmp_path / "train").symlink_to("all/first")
    (tmp_path / "test").symlink_to("all/second")
    train, test, *_ = load(f"images:{tmp_path}")
    assert (train.size, test.size) == (2, 1)


def test_class_folders_are_labels(tmp_path: Path) -> None:
    draw(tmp_path / "train/dog/brown", "a.png")
    draw(tmp_path / "train/cat", "a.png", "b.png")
    draw(tmp_path / "test/cow", "a.png")
    draw(tmp_path / "test/dog", "a.png")
    train, test, _, names = load(f"images:{tmp_path}")
    assert names == ("cat", "cow", "dog")
    # train is in a random order
    assert sorted(train.labels.tolist()) == [0, 0, 2]
    assert sorted(zip(train.labels, grey(train), strict=True)) == [
        (0, 0),
        (0, 1),
        (2, 0),
    ]
    assert test.labels.tolist() == [1, 2]
    assert test.labels.dtype == np.int32


def test_classes_without_a_test_folder(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        draw(tmp_path / name, *(f"{i:02}.png" for i in range(20)))
    train, test, *_ = load(f"images:{tmp_path}")
    assert test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert grey(test) == [9, 19] * 3
    assert np.bincount(train.labels).tolist() == [18, 18, 18]


@pytest.mark.parametrize(
    "paths",
    [
        ["a/0.png", "b/0.png", "0.png"],  # one lies at the root
        ["a/0.png", "a/b/0.png"],  # one class
        ["train/0.png", "val/0.png"],  # splits, not classes
        ["Train/a/0.png", "Test/b/0.png"],
    ],
)
def test_other_folders_are_no_labels(tmp_path: Path, paths: list[str]) -> None:
    for path in paths:
        folder = (tmp_path / path).parent
        draw(folder, *(f"{i}.png" for i in range(10)))
    train, test, *_ = load(f"images:{tmp_path}")
    assert train.labels is None
    assert test.labels is None


def test_a_split_whose_pictures_lie_at_its_root_has_no_labels(tmp_path: Path) -> None:
    draw(tmp_path / "train/a", "0.png")
    draw(tmp_path / "train/b", "0.png")
    draw(tmp_path / "test", "0.png")
    train, test, *_ = load(f"images:{tmp_path}")
    assert sorted(train.labels.tolist()) == [0, 1]
    assert test.labels is None


def test_what_is_left_out_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw(tmp_path / "train", "a.png")
    draw(tmp_path / "test", "a.png")
    draw(tmp_path / "val", "a.png", "b.png")
    (tmp_path / "train/b.heic").write_bytes(b"")
    load(f"images:{tmp_path}")
    assert "left out 1 files of other kinds: .heic" in caplog.text
    assert "left out 2 pictures that are neither in train nor in test" in caplog.text
    caplog.clear()
    draw(tmp_path / "lone/train", *(f"{i}.png" for i in range(10)))
    load(f"images:{tmp_path}/lone")
    assert "not both train and test" in caplog.text
    assert "rename" not in caplog.text
    draw(tmp_path / "lone/tests", "a.png")
    load(f"images:{tmp_path}/lone")
    assert "to use tests as test, rename it test" in caplog.text


def test_other_data_are_all_pictures_or_those_of_test(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i:02}.png" for i in range(20)))
    where = "evaluate.anomalies.source"
    images, names = load_other(f"images:{tmp_path}", where=where)
    assert grey(images) == list(range(20))
    assert names == [f"{i:02}.png" for i in range(20)]
    draw(tmp_path / "train", "a.png")
    draw(tmp_path / "test/sub", "a.png", "b.png")
    _, names = load_other(f"images:{tmp_path}", where=where)
    assert names == ["test/sub/a.png", "test/sub/b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="^evaluate.anomalies.source: no pictures in"):
        load_other(f"images:{tmp_path}/empty", where=where)


def test_grey_pictures_fit_a_run_on_colours(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    for channels, expected in ((1, 1), (2, 1), (3, 3)):
        images, _ = load_other(f"images:{tmp_path}", where="--score", channels=channels)
        assert images.images.shape == (2, 4, 5, expected)
    assert images.images[1].tolist() == np.ones((4, 5, 3)).tolist()


def test_names_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    strange = os.fsencode(tmp_path) + b"/b\xff\xc3.png"
    os.rename(tmp_path / "a.png", strange)
    _, names = load_other(f"images:{tmp_path}", where="--score")
    assert os.fsencode(names[0]) == b"b\xff\xc3.png"


@pytest.mark.parametrize("name", ["images:", "npz:"])
def test_a_name_without_a_path_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no path after the colon"):
        load(name)
    with pytest.raises(UserError, match="^--score: .*no path after the colon"):
        load_other(name, where="--score")


def test_a_home_that_is_not_there_is_no_folder() -> None:
    with pytest.raises(UserError, match="no such folder"):
        load("images:~nobody-has-this-name/x")
    with pytest.raises(UserError, match="no such file"):
        load("npz:~nobody-has-this-name/x.npz")


def test_too_few_pictures_for_a_test_split(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i}.png" for i in range(9)))
    with pytest.raises(UserError, match="every tenth picture is test, but .* 9"):
        load(f"images:{tmp_path}")


def test_unreadable_files_are_all_counted_and_can_be_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw(tmp_path, *(f"{i:02}.png" for i in range(20)))
    noise = np.random.default_rng(0).integers(0, 256, (4, 5), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "00.png")
    whole = (tmp_path / "00.png").read_bytes()
    (tmp_path / "00.png").write_bytes(whole[:50])
    (tmp_path / "03.png").write_bytes(b"")
    (tmp_path / "05.png").unlink()
    (tmp_path / "05.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()  # a folder, whatever its name
    name = f"images:{tmp_path}"
    message = (
        r"4 of 21 files cannot be read as pictures: 00.png \(.*\), 03.png \(not a "
        r"picture\), 05.png \(not a file\) and 1 more: .* dataset.skip_unreadable=True"
    )
    with pytest.raises(UserError, match=message):
        load(name)
    with pytest.raises(UserError, match="repair or remove them$"):
        load_other(name, where="--score")
    skip = ReadOptions(skip_unreadable=True)
    with caplog.at_level(logging.WARNING):
        train, test, *_ = load(name, "", skip)
    assert "left out 4 of 21 files, which cannot be read: 00.png" in caplog.text
    assert (train.size, test.size) == (16, 1)
    assert load_other(name, "", skip, where="--score")[0].size == 17
    for path in tmp_path.glob("*.png"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(UserError, match="no picture can be read"):
        load(name, "", skip)


@pytest.fixture
def photos(small_config, tmp_path: Path) -> Any:
    """A run on two classes of pictures of mixed sizes."""
    for name, side in (("a", 8), ("b", 16)):
        draw(tmp_path / name, *(f"{i:02}.png" for i in range(20)), size=(side, 8))
    small_config.dataset.name = f"images:{tmp_path}"
    small_config.dataset.resize = (8,)
    small_config.dataset.batch_size = 10
    return small_config


def test_classes_condition_a_model_or_are_kept(photos) -> None:
    photos.model.condition = "label"
    assert build(photos).dataset.train.labels.max() == 1
    photos.model.condition = "none"
    photos.dataset.keep_labels = (1,)
    assert [s.size for s in build(photos).dataset.splits.values()] == [18, 0, 2]


def test_anomalies_are_all_pictures_read_as_the_runs(photos, tmp_path: Path) -> None:
    photos.evaluate.anomalies.source = f"images:{tmp_path}"
    anomalies = build(photos).data.anomalies
    assert anomalies is not None
    assert anomalies.images.shape == (40, 8, 8, 1)
