"""Every objective meets every posterior, prior and likelihood: each composition is
traced, or refused with a sentence that names what works. Each objective and each of the
others take a step."""

import functools
import itertools
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from experiments.program import make_program, own_model
from tests.helpers.counts import COUNTS, save_counts
from tests.helpers.tables import use_table
from vae.bind import bind, parameters_of
from vae.build import Experiment, build, operative
from vae.compose import bind_menus, latent_parts, objective_maker
from vae.models.padding import cut_to, pad_to
from vae.registry import (
    ENCODERS,
    LIKELIHOODS,
    MENUS,
    MODELS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
)
from vae.training.step import make_batch
from vae.types import Unsupported, UserError


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixteen labelled images of 4x4 bytes, and beside them some in colour and vectors
    of counts."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 4, 4), np.uint8)
    labels = np.arange(16) % 3
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    colours = random.integers(0, 256, (16, 4, 4, 3), np.uint8)
    place = path.with_name("colours.npz")
    np.savez(place, x_train=colours, y_train=labels, x_test=colours, y_test=labels)
    save_counts(path.with_name("counts.npz"))
    return f"npz:{path}"


Composition = tuple[str, str, str, str]  # posterior, prior, likelihood, model
SMALL = {"widths": (5,), "num_classes": 3, "embedding_dim": 2, "num_components": 3}


def tiny_config(data: str, **names: str) -> Any:
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.dataset.name, config.dataset.batch_size = data, 8
    config.model.latent_dim = 4
    config.objective.num_samples = 4
    for field, name in names.items():
        group = {"objective": config.objective, "model": config.model}.get(field)
        (config.model[field] if group is None else group).name = name
    if config.model.name == "top_down":
        for part, name in (("encoder", "bottom_up"), ("decoder", "top_down")):
            config.model[part].name, config.model[part].width = name, 8
        config.model.encoder.layers, config.model.decoder.layers = "4d4,1x1", "1x1,4m1"
    elif config.model.name != "vae":
        config.model.groups, config.model.group_widths = (2,), (5,)
    for field in ("encoder", "decoder", "posterior", "prior", "likelihood"):
        group = config.model[field]
        read = parameters_of(MENUS[f"model.{field}"][group.name])
        group.update({name: SMALL[name] for name in SMALL.keys() & read.keys()})
    if names.get("prior") == "conditional_gaussian":
        config.model.condition = "label"
    if names.get("likelihood", "bernoulli") != "bernoulli":
        config.dataset.binarize = "none"
    return config


def spaces(menu: str, **parts: Any) -> dict[str, str]:
    """The latent space of each entry of a menu."""
    config = operative(default.get_config())
    found = {}
    for name in MENUS[f"model.{menu}"]:
        config["model"][menu]["name"] = name
        discrete = menu == "prior" and name.endswith("_codes")
        config["model"]["posterior"]["name"] = (
            "relaxed_categorical" if discrete else config["model"]["posterior"]["name"]
        )
        made = latent_parts(config, bind_menus(config), 4, encoder=None, examples=None)
        parts = {"posterior": made.posteriors[0], "prior": made.prior}
        found[name] = parts[menu].space
        config["model"]["posterior"]["name"] = "diagonal_gaussian"
    return found


POSTERIOR_SPACES, PRIOR_SPACES = spaces("posterior"), spaces("prior")


def first_on(spaces: dict[str, str], space: str) -> str:
    return next(name for name, own in spaces.items() if own == space)


POSTERIORS_AND_PRIORS = [
    *(
        (name, first_on(PRIOR_SPACES, space))
        for name, space in POSTERIOR_SPACES.items()
    ),
    *(
        (first_on(POSTERIOR_SPACES, space), name)
        for name, space in PRIOR_SPACES.items()
        if name != first_on(PRIOR_SPACES, space)
    ),
    ("vector_quantized", "autoregressive_codes"),
]
# Likelihoods take their turns: no objective accepts only some of them.
COMPOSITIONS = [
    (*parts, likelihood, "vae")
    for parts, likelihood in itertools.islice(
        zip(
            itertools.cycle(POSTERIORS_AND_PRIORS),
            itertools.cycle(LIKELIHOODS),
            strict=False,
        ),
        max(len(POSTERIORS_AND_PRIORS), len(LIKELIHOODS)),
    )
]
COMPOSITIONS += [
    ("diagonal_gaussian", "standard_normal", "bernoulli", name)
    for name in MODELS
    if name != "vae"
]


def test_every_part_has_its_turn() -> None:
    menus = (POSTERIORS, PRIORS, LIKELIHOODS, MODELS)
    for menu, names in zip(menus, zip(*COMPOSITIONS, strict=True), strict=True):
        assert set(names) == set(menu)
    objectives, compositions = zip(*steps().items(), strict=True)
    assert (*objectives,) == (*OBJECTIVES,)
    assert set(compositions) == set(COMPOSITIONS)


@functools.cache
def composed(data: str, composition: Composition) -> tuple[Experiment, ...]:
    """An experiment of a composition, its first state, and a batch."""
    parts = ("posterior", "prior", "likelihood", "model")
    names = dict(zip(parts, composition, strict=True))
    if names["likelihood"] in COUNTS:
        data = data.replace("tiny.npz", "counts.npz")
    if names["likelihood"].endswith("_rgb"):
        data = data.replace("tiny.npz", "colours.npz")
    config = tiny_config(data, objective="elbo", **names)
    if names["likelihood"] == "per_column":
        use_table(config, Path(data.removeprefix("npz:")).with_name("table.csv"))
    experiment = build(config)
    state, _ = make_program(experiment).initialize(experiment)
    stored = experiment.dataset.train[:8]
    batch = make_batch(stored, experiment.preprocess, jnp.arange(8), 0, 0)
    return experiment, state, batch


@pytest.mark.sampled(2)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("composition", COMPOSITIONS, ids="-".join)
def test_every_objective(
    tiny_data: str, composition: Composition, objective: str
) -> None:
    experiment, state, batch = composed(tiny_data, composition)
    group = operative(tiny_config(tiny_data, objective=objective))["objective"]
    if "num_bounds" in parameters_of(OBJECTIVES[objective]):
        group["num_bounds"] = 2
    if "discriminator_widths" in parameters_of(OBJECTIVES[objective]):
        group["discriminator_widths"] = (5,)
    bound = {"objective": bind("objective", group, OBJECTIVES)}
    made = objective_maker(bound, experiment.dataset.train.size)(experiment.model, None)
    key = jax.random.key(0)
    params = {"model": state.params["model"], "objective": made.init(key, batch)}
    hparams = experiment.hparams | bound["objective"].traced
    loss = jax.value_and_grad(made.loss, has_aux=True)
    given = params, batch, key, hparams, 0
    if is_refused(composition, objective):
        with pytest.raises(Unsupported, match="^(needs|cannot) "):
            jax.eval_shape(loss, *given)
        return
    if steps()[objective] != composition:
        (_, metrics), grads = jax.eval_shape(loss, *given)
        assert "loss" in metrics
        return
    (_, metrics), grads = jax.jit(loss)(*given)
    assert all(np.isfinite(value) for value in metrics.values()), metrics
    leaves = jax.tree.leaves(grads)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert any(leaf.any() for leaf in leaves)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads["model"]):
        if "average_" in jax.tree_util.keystr(path):
            assert leaf.any(), path
    _, own = own_model(experiment, state)
    padded = pad_to(cut_to(grads["model"], own["params"]), grads["model"])
    jax.tree.map(np.testing.assert_array_equal, padded, grads["model"])


DISCRETE = {
    *("free_bits", "iwae", "miwae", "ciwae", "piwae", "dreg", "beta_tcvae"),
    *("renyi", "sticking_the_landing"),
    *("factor_vae", "dip_vae_i", "dip_vae_ii", "info_vae", "wae_mmd", "vq_vae"),
}
FACTORISED = {"free_bits", "beta_tcvae", "dip_vae_i", "dip_vae_ii"}
REFUSED = {
    ("full_gaussian", "standard_normal"): {*FACTORISED, "vq_vae"},
    ("planar_flow", "standard_normal"): {
        *(*FACTORISED, "dreg", "sticking_the_landing", "vq_vae"),
    },
    ("iaf", "standard_normal"): {*FACTORISED, "vq_vae"},
    ("coupling_flow", "standard_normal"): {*FACTORISED, "vq_vae"},
    ("von_mises_fisher", "uniform_on_sphere"): {*FACTORISED, "vq_vae"},
    ("relaxed_categorical", "uniform_codes"): DISCRETE,
    ("relaxed_categorical", "autoregressive_codes"): DISCRETE,
    ("vector_quantized", "uniform_codes"): FACTORISED,
    ("vector_quantized", "autoregressive_codes"): FACTORISED,
    ("diagonal_gaussian", "conditional_gaussian"): {"info_vae", "wae_mmd", "vq_vae"},
    ("diagonal_gaussian", "gaussian_mixture"): {"free_bits", "vq_vae"},
    ("diagonal_gaussian", "vamp"): {"free_bits", "piwae", "dreg", "vq_vae"},
    ("diagonal_gaussian", "realnvp"): {"free_bits", "vq_vae"},
}


# q(z | x) of a group depends on other groups; that of a ladder and of top_down on p(z),
# too.
COUPLED = {
    *("beta_tcvae", "dip_vae_i", "dip_vae_ii", "info_vae", "wae_mmd", "vq_vae"),
    "factor_vae",
}
FLOORS = {"free_bits", "free_bits_per_group"}
REFUSED_BY_MODEL = {
    "chain": COUPLED | FLOORS,
    **dict.fromkeys(("ladder", "top_down"), COUPLED | {"piwae", "dreg"}),
}


def is_refused(composition: Composition, objective: str) -> bool:
    *parts, _, model = composition
    known = REFUSED.get((*parts,), {"vq_vae"})
    return objective in REFUSED_BY_MODEL.get(model, known)


@functools.cache
def steps() -> dict[str, Composition]:
    """The composition with which each objective takes a step: of those that it works
    with, one that has had the fewest, and that refuses most objectives."""
    taken: dict[str, Composition] = {}
    refused = {c: sum(is_refused(c, o) for o in OBJECTIVES) for c in COMPOSITIONS}
    for objective in OBJECTIVES:
        works = [c for c in COMPOSITIONS if not is_refused(c, objective)]
        had = [*taken.values()]
        taken[objective] = min(works, key=lambda c: (had.count(c), -refused[c]))
    return taken


def choices(error: UserError) -> set[str]:
    """What an error says would work."""
    (listed,) = re.findall(r"choose (.*)$", str(error))
    return set(listed.split(" or "))


@pytest.mark.slow
def test_what_an_error_offers_works_and_nothing_else(tiny_data: str) -> None:
    with pytest.raises(UserError, match="objective.name=vq_vae needs a quant") as error:
        build(tiny_config(tiny_data, objective="vq_vae"))
    assert choices(error.value) == OBJECTIVES.keys() - {"vq_vae"}
    with pytest.raises(
        UserError, match="model.prior.name=uniform_on_sphere is over"
    ) as e:
        build(tiny_config(tiny_data, prior="uniform_on_sphere"))
    offered = choices(e.value)
    assert offered == {n for n, s in PRIOR_SPACES.items() if s == "the reals"} - {
        "conditional_gaussian"  # without labels
    }
    for name in offered:
        build(tiny_config(tiny_data, prior=name))


def test_images_that_cannot_be_halved_are_refused(tiny_data: str) -> None:
    config = tiny_config(tiny_data, encoder="conv_locatello")
    with pytest.raises(
        UserError, match="model.encoder.name=conv_locatello halves"
    ) as e:
        build(config)
    # The layers of bottom_up are of 32x32 pixels.
    assert choices(e.value) == ENCODERS.keys() - {"conv_locatello", "bottom_up"}
