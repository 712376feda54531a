"""A user's folders of pictures: which files, which split, which class."""

import difflib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vae.data.options import ReadOptions
from vae.data.pictures import read_files, stack
from vae.data.roles import listed
from vae.data.splits import Loaded, Split, every_tenth_is_test
from vae.types import UserError

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
# Names of folders that hold a split, not a class.
SPLIT_NAMES = {
    *("train", "trains", "training", "val", "valid", "validation"),
    *("test", "tests", "testing"),
}
TRAIN, TEST, WHOLE = Path("train"), Path("test"), Path()


def from_folder(folder: Path, where: str, options: ReadOptions) -> Loaded:
    """Returns a user's pictures: `folder/train` and `folder/test` if both exist, else
    all pictures under `folder`, every tenth of them by name test.

    Train is put into a fixed random order, so that validation images cut from its end
    are of all kinds. Folders of classes give labels, see `_labels`.

    Raises:
      UserError: there are no pictures, some cannot be read, or their sizes differ.
    """
    parts = _parts(folder, where)
    files = [file for part in parts for file in _pictures_below(folder, part, where)]
    if parts == [WHOLE]:
        _tell_of_lone_split(folder, where)
    else:
        _tell_of_unused(folder, files, where)
    pictures = read_files(folder, files, where, options)
    images = stack(pictures, where)
    places = [
        [i for i, picture in enumerate(pictures) if picture.file.is_relative_to(part)]
        for part in parts
    ]
    labels, label_names = _labels(
        [
            [_class_of(pictures[i].file.relative_to(part)) for i in of_part]
            for part, of_part in zip(parts, places, strict=True)
        ]
    )
    splits = [Split(images[i], y) for i, y in zip(places, labels, strict=True)]
    if parts == [WHOLE] and len(pictures) < 10:
        raise UserError(
            f"{where}: every tenth picture is test, but there are {len(pictures)}: add "
            f"some, or sort them into {folder / TRAIN} and {folder / TEST}"
        )
    train, test = splits if len(splits) == 2 else every_tenth_is_test(splits[0])
    train = train[np.random.RandomState(0).permutation(train.size)]
    return Loaded(train, test, label_names=label_names)


def all_of_folder(
    folder: Path,
    where: str,
    options: ReadOptions,
    least_channels: int = 1,
    label_names: Sequence[str] | None = None,
) -> tuple[Split, list[str]]:
    """Returns all pictures [N, H, W, C] in order of their paths, and their names. If
    there are `folder/train` and `folder/test`, they are those of test.

    Args:
      folder: of the pictures.
      where: the field or flag and its value, for messages.
      options: of the run.
      least_channels: 3 reads grey pictures as RGB.
      label_names: of the run's labels, which folders of classes are called by; (): the
        folders are called 0, 1, ...; None: pictures have no labels.

    Raises:
      UserError: as `from_folder`; or a picture is in no folder of a known class.
    """
    part = _parts(folder, where)[-1]
    files = _pictures_below(folder, part, where)
    pictures = read_files(folder, files, where, options)
    images, labels = stack(pictures, where, least_channels), None
    if label_names is not None:
        numbers = {name: i for i, name in enumerate(label_names)}
        found = []
        for picture in pictures:
            name = str(_class_of(picture.file.relative_to(part)))
            is_number = not numbers and name.isdecimal()
            known = int(name) if is_number else numbers.get(name)
            if known is None:
                classes = listed(label_names) if numbers else "0, 1, ..."
                raise UserError(
                    f"{where}: the folder of {picture.name} is no class of the model "
                    f"({classes}); rename it, or leave the picture out"
                )
            found.append(known)
        labels = np.array(found, np.int32)
    return Split(images, labels), [picture.name for picture in pictures]


def _parts(folder: Path, where: str) -> list[Path]:
    """Returns the folders of train and test, or the whole, relative to the folder."""
    if not os.path.isdir(folder):
        raise UserError(f"{where}: there is no such folder")
    parts = [TRAIN, TEST]
    return parts if all(os.path.isdir(folder / part) for part in parts) else [WHOLE]


def _class_of(file: Path) -> str | None:
    """Returns the first folder of a path, if it has one."""
    return file.parts[0] if len(file.parts) > 1 else None


def _labels(
    classes: list[list[str | None]],
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Returns the labels int32 [N] of each split from the class of each picture, and
    the names of the classes.

    The classes of all splits, sorted by name, are 0, 1, ... A split has labels if each
    of its pictures has a class. One class for all, and folders that hold splits, are no
    labels.
    """
    is_labelled = [None not in of_split for of_split in classes]
    names = sorted(
        {
            str(name)
            for of_split, use in zip(classes, is_labelled, strict=True)
            for name in of_split
            if use
        }
    )
    if len(names) < 2 or SPLIT_NAMES & {name.lower() for name in names}:
        return [None] * len(classes), ()
    label = {name: i for i, name in enumerate(names)}
    labels = [
        np.array([label[str(name)] for name in of_split], np.int32) if use else None
        for of_split, use in zip(classes, is_labelled, strict=True)
    ]
    return labels, (*names,)


def _pictures_below(folder: Path, part: Path, where: str) -> list[Path]:
    """Returns the picture files in a part of the folder, sorted by path, relative to
    the folder. Says how many other files there are."""
    files = _files_below(folder / part, where)
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise UserError(
            f"{where}: no pictures in {folder / part}; looked for "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    if len(pictures) < len(files):
        others = sorted(
            {file.suffix.lower() or file.name for file in files} - PICTURE_SUFFIXES
        )
        logging.warning(
            "%s: left out %d files of other kinds: %s",
            *(where, len(files) - len(pictures), ", ".join(others)),
        )
    return sorted(file.relative_to(folder) for file in pictures)


def _files_below(root: Path, where: str) -> list[Path]:
    """Returns all files below a folder, but what is hidden or left by macOS.

    Linked folders are followed. A folder that can be reached in several ways is read
    once, if possible by a way without links.
    """
    files, seen, folders, links = [], set(), [root], []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"{where}: cannot read {folder}: {error.strerror}"
            ) from error
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if os.path.isdir(entry.path):
                kind = links if entry.is_symlink() else folders
                kind.append(Path(entry.path))
            else:
                files.append(Path(entry.path))
    return files


def _tell_of_lone_split(folder: Path, where: str) -> None:
    """Says that a folder for one split alone is not taken for that split."""
    names = sorted(e.name for e in os.scandir(folder) if e.name.lower() in SPLIT_NAMES)
    if names:
        hints = [
            f"; to use {near[0]} as {part}, rename it {part}"
            for part in (TRAIN.name, TEST.name)
            if part not in names and (near := difflib.get_close_matches(part, names))
        ]
        logging.warning(
            "%s: %s there, but not both train and test: every tenth of all pictures is "
            "test, whatever folder it is in%s",
            *(where, " and ".join(names), "".join(hints)),
        )


def _tell_of_unused(folder: Path, used: list[Path], where: str) -> None:
    """Says how many pictures lie beside `train` and `test`."""
    known = {os.path.realpath(folder / file) for file in used}
    unused = [
        file
        for file in _files_below(folder, where)
        if file.suffix.lower() in PICTURE_SUFFIXES
        and os.path.realpath(file) not in known
    ]
    if unused:
        logging.warning(
            "%s: left out %d pictures that are neither in train nor in test, as %s",
            *(where, len(unused), unused[0]),
        )
