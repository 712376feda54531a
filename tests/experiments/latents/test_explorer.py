"""The page on which a decoder runs."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.latents import explorer
from experiments.latents.attributes import Attributes
from experiments.latents.subject import Subject, make_subject
from experiments.program import make_program
from tests.experiments.latents.conftest import NOTHING, config_of, words
from vae.build import build

KL = {"latent/kl_per_dim": [0.5, 2.0, 0.1, 1.0]}
CONV = {"model.decoder.name": "conv", "model.decoder.channels": (8, 16)}
CONDITIONAL = {"model.condition": "label"}


def distinct_model(**changes: Any) -> Subject:
    """A model whose weights are so far from those at the start that images differ."""
    experiment = build(config_of(**changes))
    state, _ = make_program(experiment).initialize(experiment)
    leaves, tree = jax.tree.flatten(state.params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    moved = [
        leaf + 0.3 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    state = state._replace(params=jax.tree.unflatten(tree, moved))
    return make_subject(experiment, state)


def write(subject: Subject, folder: Path, **known: Any) -> dict[str, Any]:
    """Writes the page, and returns what it holds for its script."""
    attributes = NOTHING._replace(**known)
    section = explorer.write_explorer(subject, attributes, KL, folder)
    assert section.facts["reason"] in words("explorer", section, subject)
    page = (folder / "explorer.html").read_text()
    (text,) = re.findall(r'json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(html.unescape(text))


def said(folder: Path) -> str:
    text = (folder / "explorer.html").read_text().split('<script type="application')[0]
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def grey(page: str) -> np.ndarray:
    """Returns the image [28, 28] that the page has written."""
    (text,) = re.findall(r'data-pixels="(.*?)"', page)
    return np.array(text.split(","), float).reshape(28, 28, 4)[..., 0] / 255


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        CONDITIONAL,
        CONV | {"model.decoder.convolution": "lax"},
        CONV | {"model.decoder.convolution": "matmul"},
    ],
    ids=["mlp", "conditional", "transposed convolutions", "matrix products"],
)
def test_the_browsers_images_are_those_of_jax(
    changes: dict[str, Any], browse: Callable[..., str], tmp_path: Path
) -> None:
    subject = distinct_model(**changes)
    write(subject, tmp_path)
    code = np.array([[1.25, -0.5, 2.0, -1.75]], np.float32)
    wanted = subject.decode(code, np.array([3], np.int32))[0]
    assert np.ptp(wanted) > 0.5
    numbers = ",".join(map(str, code[0].tolist()))
    page = browse(tmp_path / "explorer.html", f"z={numbers}&label=3&pixels")
    np.testing.assert_allclose(grey(page), wanted.squeeze(-1), atol=1e-2)
    assert "Checked here: one image differs from JAX's by at most 0.0" in page


@pytest.mark.slow
def test_a_click_decodes_what_is_there(
    browse: Callable[..., str], tmp_path: Path
) -> None:
    subject = distinct_model()
    data = write(subject, tmp_path)
    page = tmp_path / "explorer.html"
    script = """<script>addEventListener("load", () => {
      const map = find("map"), box = map.getBoundingClientRect();
      const unit = box.width / SIDE;
      map.setPointerCapture = () => {};
      const send = (kind, [x, y]) => map.dispatchEvent(new PointerEvent(kind,
        { clientX: box.left + x * unit, clientY: box.top + y * unit, bubbles: true }));
      const click = place => { send("pointerdown", place); send("pointerup", place); };
      const found = {};
      click([3, 5]);
      found.empty = [[...code], [3, 5], toMap(project(code))];
      click(onMap[7]);
      found.image = [[...code], find("source").textContent];
      send("pointermove", onMap[7]);
      found.hover = find("hover").textContent;
      send("pointerdown", onMap[7]);
      send("pointerup", onMap[20]);
      find("along").value = 0.25;
      find("along").oninput({ target: find("along") });
      found.line = [...code];
      found.sliders = sliders.map(({ input }) => input.valueAsNumber);
      found.overflow = document.documentElement.scrollWidth - innerWidth;
      document.documentElement.dataset.found = JSON.stringify(found);
    });</script>"""
    page.write_text(page.read_text().replace("</html>", script))
    (text,) = re.findall(r'data-found="(.*?)"', browse(page))
    found = json.loads(html.unescape(text))
    codes = subject.test.codes
    of_empty, asked, reached = found["empty"]
    np.testing.assert_allclose(reached, asked, atol=1e-2)
    directions = np.array(data["planes"][0]["directions"])
    assert data["planes"][0]["name"] == "principal components"
    out_of_plane = of_empty - codes[0]
    out_of_plane -= out_of_plane @ directions.T @ directions
    assert np.abs(out_of_plane).max() < 1e-6 * np.abs(of_empty).max()
    np.testing.assert_allclose(found["image"][0], codes[7], atol=1e-6)
    assert found["image"][1] == found["hover"] == "Test image 7"
    between = 0.75 * codes[7] + 0.25 * codes[20]
    np.testing.assert_allclose(found["line"], between, atol=1e-5)
    order = [slider["dimension"] for slider in data["sliders"]]
    assert order == [1, 3, 0, 2]
    assert found["overflow"] <= 0


def test_points_have_names_and_colours(tmp_path: Path) -> None:
    subject = distinct_model(**CONDITIONAL)
    assert subject.test.labels is not None
    data = write(subject, tmp_path, test={"label": subject.test.labels})
    points = data["points"]
    assert data["labels"] == 10 and points["labels"] == subject.test.labels.tolist()
    assert points["names"][3] == f"Test image 3, label {subject.test.labels[3]}"
    colours = dict(points["legend"])
    assert points["colours"][3] == colours[f"label {subject.test.labels[3]}"]
    names = tuple("abcdefghij")
    named = subject._replace(label_names=names)
    points = write(named, tmp_path, test={"label": subject.test.labels})["points"]
    assert points["names"][3] == f"Test image 3, label {names[subject.test.labels[3]]}"
    assert {*dict(points["legend"])} <= {f"label {name}" for name in names}
    count = len(subject.test.codes)
    assert f"{count} of {count} test images" in said(tmp_path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_latent_spaces_have_planes(size: int, tmp_path: Path) -> None:
    subject = distinct_model(**{"model.latent_dim": size})
    planes = explorer._planes(subject, np.arange(size)[::-1])
    assert len(planes) == (1, 1, 2)[size - 1]
    for plane in planes:
        directions = np.array(plane["directions"])
        assert directions.shape == (2, size)
        wanted = np.diag([1.0, 0.0]) if size == 1 else np.eye(2)
        np.testing.assert_allclose(directions @ directions.T, wanted, atol=1e-6)
    section = explorer.write_explorer(subject, NOTHING, {}, tmp_path)
    assert section.facts == {"reason": "", "sliders": size}
    assert "the rate of this model is not a sum over dimensions" in said(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["unknown", "large"])
def test_a_decoder_that_the_browser_cannot_run_leaves_a_grid(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    browse: Callable[..., str],
) -> None:
    subject = distinct_model(**CONDITIONAL)
    if case == "large":
        monkeypatch.setattr(explorer, "MOST_BYTES", 60_000)
        reason = r"with the decoder the page would take 0\.\d+ MB \(at most 0\.06 MB\)"
    else:
        decode = subject.decode_now
        subject = subject._replace(
            decode_now=lambda z, labels: decode(jax.numpy.sort(z), labels)
        )
        reason = "the decoder uses operations that this page does not have: sort"
    data = write(subject, tmp_path)
    assert re.search(f"with all others at 0, because {reason}", said(tmp_path))
    assert data["equations"] is None and data["check"] is None
    assert [slider["dimension"] for slider in data["sliders"]] == [1, 3]
    assert [plane["name"] for plane in data["planes"]] == ["dimension 1 across, 3 up"]
    grid = data["grid"]
    assert grid["sides"] == [11, 11] and grid["labels"] == 10
    page = browse(tmp_path / "explorer.html", "z=1,9,1,-9&label=9&pixels")
    ends = [
        slider[end]
        for slider, end in zip(data["sliders"], ("high", "low"), strict=True)
    ]
    corner = np.array([[0, ends[0], 0, ends[1]]], np.float32)
    wanted = subject.decode(corner, np.array([9], np.int32))[0].squeeze(-1)
    np.testing.assert_allclose(grey(page), wanted, atol=1e-2)


def test_attributes_with_any_names_do_no_harm(tmp_path: Path) -> None:
    subject = distinct_model()
    name = '</script>"&'
    values = {name: np.arange(len(subject.test.codes)) % 2}
    attributes = Attributes(None, None, {}, values, values)
    explorer.write_explorer(subject, attributes, KL, tmp_path)
    page = (tmp_path / "explorer.html").read_text()
    assert name not in page
    (text,) = re.findall(r'json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(text)["points"]["names"][1] == f"Test image 1, {name} 1"
