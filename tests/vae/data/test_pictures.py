from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from vae.data.options import ReadOptions
from vae.data.sources import load_other
from vae.types import UserError


def read(folder: Path, options: ReadOptions | None = None) -> np.ndarray:
    options = options or ReadOptions()
    split, _ = load_other(f"images:{folder}", "", options, where="--score")
    return split.images


def bytes_(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(suffix, np.uint8) for suffix in ("jpg", "png", "tif", "webp")]
    + [(suffix, np.uint16) for suffix in ("png", "tif")],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(
    tmp_path: Path, suffix: str, dtype: type, orientation: int
) -> None:
    """A picture is stored so that its orientation turns it back."""
    upright = np.zeros((16, 24), dtype)
    upright[:8, :12] = np.iinfo(dtype).max  # the upper left quarter is white
    # Rows and columns of what is stored, as the EXIF standard names their places.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored))
    picture.save(tmp_path / f"a.{suffix}", exif=exif)
    images = read(tmp_path)
    assert images.shape == (1, 16, 24, 1)
    np.testing.assert_allclose(
        images[0, ..., 0] / images.max(), upright / upright.max(), atol=0.05
    )


def test_damaged_exif_is_no_damaged_picture(tmp_path: Path) -> None:
    image = bytes_(4, 5)
    Image.fromarray(image).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    np.testing.assert_array_equal(read(tmp_path)[0, ..., 0], image)


LOSSLESS = {"lossless": True}


def test_every_frame_is_a_picture(tmp_path: Path) -> None:
    pages = bytes_(6, 12, 12)
    frames = [Image.fromarray(page) for page in pages]
    for suffix, save in (("tif", {}), ("gif", {}), ("png", {}), ("webp", LOSSLESS)):
        folder = tmp_path / suffix
        folder.mkdir()
        path = folder / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **save)
        split, names = load_other(f"images:{folder}", where="--score")
        np.testing.assert_array_equal(split.images[..., 0], pages, err_msg=suffix)
        assert names == [f"a.{suffix}[{i}]" for i in range(6)]


def test_previews_and_masks_are_no_pictures(tmp_path: Path) -> None:
    frames = [Image.fromarray(page) for page in bytes_(3, 12, 12)]
    small = frames[2].resize((6, 6))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=[small, frames[1]])
    split, names = load_other(f"images:{tmp_path}", where="--score")
    assert split.images.shape == (2, 12, 12, 1)
    assert names == ["a.tif[0]", "a.tif[2]"]


def test_the_preview_in_a_cameras_jpeg_is_no_picture(tmp_path: Path) -> None:
    pages = [Image.fromarray(bytes_(12, 12)), Image.fromarray(bytes_(6, 6))]
    pages[0].save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=pages[1:]
    )
    assert read(tmp_path).shape == (1, 12, 12, 1)


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "LA", "1"])
def test_a_folder_of_greys_has_one_channel(tmp_path: Path, mode: str) -> None:
    image = bytes_(6, 5) // 255 * 255 if mode == "1" else bytes_(6, 5)
    grey = Image.fromarray(image)
    if mode == "P":
        grey.putpalette([level for level in range(256) for _ in range(3)])
        grey.info["transparency"] = bytes(range(256))
    (grey if mode == "P" else grey.convert(mode)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path)[0, ..., 0], image)
    Image.new("RGB", (5, 6), color=(1, 2, 3)).save(tmp_path / "b.png")
    images = read(tmp_path)
    assert images.shape == (2, 6, 5, 3)
    np.testing.assert_array_equal(images[0], np.repeat(image[..., None], 3, -1))


def test_pictures_of_16_bits_are_floats_of_the_whole_range(tmp_path: Path) -> None:
    levels = np.array([[0, 40, 4_095, 65_535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(levels.astype(">u2")).save(tmp_path / "b.tif")
    Image.fromarray(levels.astype(np.int32)).save(tmp_path / "c.tif")
    for image in read(tmp_path):
        np.testing.assert_allclose(image[..., 0], levels / 65_535, rtol=1e-6)
    Image.fromarray(np.array([[0, 1, 16, 255]], np.uint8)).save(tmp_path / "d.png")
    images = read(tmp_path)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[3, 0, :, 0], np.array([0, 1, 16, 255]) / 255)
    resized = read(tmp_path, ReadOptions(resize=(3, 7)))
    assert resized.shape == (4, 3, 7, 1)
    assert resized.min() >= 0 and resized.max() <= 1


@pytest.mark.parametrize(
    "pixels", [np.float32([[0, 0.5]]), np.int32([[-1, 1]]), np.int32([[0, 70_000]])]
)
def test_pictures_of_32_bits_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a.tif \(.*bits.* npz:PATH with floats\)"):
        read(tmp_path)


def test_mixed_sizes_are_cut_in_the_middle_and_scaled(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200, 100, 50
    Image.fromarray(wide).save(tmp_path / "a.png")
    Image.fromarray(np.swapaxes(wide, 0, 1)).save(tmp_path / "b.png")
    same = bytes_(4, 4, 3)
    Image.fromarray(same).save(tmp_path / "c.png")
    with pytest.raises(UserError, match="mixed sizes: .* of 3 sizes: .* one size$"):
        read(tmp_path)
    images = read(tmp_path, ReadOptions(resize=(4,)))
    assert images.shape == (3, 4, 4, 3)
    # Pixels at the border of the cut are smoothed with those outside.
    assert (images[:2, 1:3, 1:3] == [200, 100, 50]).all()
    assert (images[:2, :, 0] >= [150, 75, 37]).all()
    np.testing.assert_array_equal(images[2], same)  # has that size already
    images = read(tmp_path, ReadOptions(resize=(2, 6)))
    assert images.shape == (3, 2, 6, 3)
    assert images[0, :, [0, 5]].max() == 0  # the whole width is seen


def test_a_bomb_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"a.png \(more than 200 pixels\)"):
        read(tmp_path)
