"""Every objective meets every posterior, prior and likelihood: each composition takes
a finite step, or is refused with a sentence that says what to change."""

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from experiments.program import make_program, own_model
from tests.conftest import ROOT
from vae import menus
from vae.build import build
from vae.compatibility import POSTERIORS_ON, PRIORS_ON, check_latent_space
from vae.compose import objective_maker
from vae.models.padding import cut_to, pad_to
from vae.training.step import make_batch
from vae.types import UserError


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixteen labelled images of 4x4 bytes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 4, 4), np.uint8)
    labels = np.arange(16) % 3
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return f"npz:{path}"


def tiny_config(data: str, **names: str) -> Any:
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.dataset.name, config.dataset.batch_size = data, 8
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (5,)
    config.model.posterior.widths = config.model.prior.widths = (6,)
    config.model.posterior.num_classes = 3
    config.model.posterior.embedding_dim = 2
    config.model.prior.num_components = 3
    config.model.likelihood.num_components = 2
    config.objective.discriminator_widths = (5,)
    config.objective.num_samples = 4
    for field, name in names.items():
        group = config.objective if field == "objective" else config.model[field]
        group.name = name
    if names.get("prior") == "conditional_gaussian":
        config.model.condition = "label"
    if names.get("likelihood", "bernoulli") != "bernoulli":
        config.dataset.binarize = "none"
    return config


def first_of_its_space(posterior: str) -> str:
    (space,) = (s for s, names in POSTERIORS_ON.items() if posterior in names)
    return PRIORS_ON[space][0]


POSTERIORS_AND_PRIORS = [
    *((posterior, first_of_its_space(posterior)) for posterior in menus.POSTERIORS),
    *(
        (POSTERIORS_ON[space][0], prior)
        for space, names in PRIORS_ON.items()
        for prior in names[1:]
    ),
    ("vector_quantized", "autoregressive_codes"),
]
# Likelihoods take their turns: no objective accepts only some of them.
COMPOSITIONS = [
    {"posterior": posterior, "prior": prior, "likelihood": likelihood}
    for (posterior, prior), likelihood in zip(
        POSTERIORS_AND_PRIORS, itertools.cycle(menus.LIKELIHOODS), strict=False
    )
]


def test_every_likelihood_has_its_turn() -> None:
    assert {names["likelihood"] for names in COMPOSITIONS} == set(menus.LIKELIHOODS)


@pytest.mark.parametrize("names", COMPOSITIONS, ids=lambda n: "-".join(n.values()))
def test_every_objective(tiny_data: str, names: dict[str, str]) -> None:
    """Operation by operation: compiling each of hundreds of losses takes a second."""
    config = tiny_config(tiny_data, objective="elbo", **names)
    experiment = build(config)
    stored = experiment.dataset.train[:8]
    batch = make_batch(stored, experiment.preprocess, jnp.arange(8), 0, 0)
    key = jax.random.key(0)
    state, _ = make_program(experiment).initialize(experiment)
    _, own = own_model(experiment, state)
    config.objective.num_bounds = 2
    refusals = set()
    for name in menus.OBJECTIVES:
        config.objective.name = name
        make = objective_maker(config.objective, experiment.dataset)
        objective = make(experiment.model, None)
        own_parameters = objective.init(key, batch)
        params = {"model": state.params["model"], "objective": own_parameters}
        loss = jax.value_and_grad(objective.loss, has_aux=True)
        try:
            (_, metrics), grads = loss(params, batch, key, experiment.hparams, 0)
        except UserError as error:
            assert re.search(r"(objective|model)\.[a-z.]+", str(error))
            refusals.add(name)
            continue
        assert all(np.isfinite(value) for value in metrics.values()), (name, metrics)
        leaves = jax.tree.leaves(grads)
        assert all(np.isfinite(leaf).all() for leaf in leaves), name
        assert any(leaf.any() for leaf in leaves), name
        for path, leaf in jax.tree_util.tree_leaves_with_path(grads["model"]):
            if "average_" in jax.tree_util.keystr(path):
                assert leaf.any(), (name, path)
        in_use = cut_to(grads["model"], own["params"])
        padded = pad_to(in_use, grads["model"])
        jax.tree.map(np.testing.assert_array_equal, padded, grads["model"])
    place = f"{names['posterior']}-{names['prior']}"
    assert refusals == REFUSED.get(place, {"vq_vae"})


def test_an_objective_refuses_while_the_experiment_is_built(tiny_data: str) -> None:
    with pytest.raises(UserError, match="vq_vae needs model.posterior.name"):
        build(tiny_config(tiny_data, objective="vq_vae"))


DISCRETE = {
    *("free_bits", "iwae", "miwae", "ciwae", "piwae", "dreg", "beta_tcvae"),
    "sticking_the_landing",
    *("factor_vae", "dip_vae_i", "dip_vae_ii", "info_vae", "wae_mmd", "vq_vae"),
}
FACTORISED = {"free_bits", "beta_tcvae", "dip_vae_i", "dip_vae_ii"}
REFUSED = {
    "full_gaussian-standard_normal": {*FACTORISED, "vq_vae"},
    "planar_flow-standard_normal": {
        *(*FACTORISED, "dreg", "sticking_the_landing", "vq_vae"),
    },
    "iaf-standard_normal": {*FACTORISED, "vq_vae"},
    "coupling_flow-standard_normal": {*FACTORISED, "vq_vae"},
    "von_mises_fisher-uniform_on_sphere": {*FACTORISED, "vq_vae"},
    "relaxed_categorical-uniform_codes": DISCRETE,
    "relaxed_categorical-autoregressive_codes": DISCRETE,
    "vector_quantized-uniform_codes": FACTORISED,
    "vector_quantized-autoregressive_codes": FACTORISED,
    "diagonal_gaussian-conditional_gaussian": {"info_vae", "wae_mmd", "vq_vae"},
    "diagonal_gaussian-gaussian_mixture": {"free_bits", "vq_vae"},
    "diagonal_gaussian-vamp": {"free_bits", "piwae", "dreg", "vq_vae"},
    "diagonal_gaussian-realnvp": {"free_bits", "vq_vae"},
}


@pytest.mark.parametrize(
    ("posterior", "prior"), [*itertools.product(menus.POSTERIORS, menus.PRIORS)]
)
def test_codes_and_prior_live_in_one_space(posterior: str, prior: str) -> None:
    allowed = any(
        posterior in POSTERIORS_ON[space] and prior in PRIORS_ON[space]
        for space in POSTERIORS_ON
    )
    if prior == "vamp":
        allowed = posterior == "diagonal_gaussian"
    if prior == "conditional_gaussian":
        allowed = False  # without labels
    if allowed:
        check_latent_space(posterior, prior, "none", 2)
        return
    with pytest.raises(UserError, match="choose|set"):
        check_latent_space(posterior, prior, "none", 2)


def test_names_stand_in_the_reference_and_the_readme() -> None:
    for path in (ROOT / "configs/default.py", ROOT / "README.md"):
        words = set(re.findall(r"\w+", path.read_text()))
        for menu in (
            *(menus.OBJECTIVES, menus.POSTERIORS, menus.PRIORS, menus.LIKELIHOODS),
            *(menus.ENCODERS, menus.DECODERS),
        ):
            assert set(menu) <= words, path
