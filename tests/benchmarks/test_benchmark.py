import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import (
    convolutions,
    flax_example,
    flops,
    ours,
    run,
    table,
    timing,
)
from benchmarks.isolation import Isolated
from benchmarks.timing import Contestant
from configs import default
from experiments.cells import override
from vae.build import build
from vae.objectives.elbo import elbo_terms
from vae.types import UserError


def config_of(**fields):
    config = default.get_config("smoke")
    return override(config, {"runtime.num_devices": 1, "model.latent_dim": 7, **fields})


def num_weights(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_operations_of_a_dense_step() -> None:
    config = config_of(**{"dataset.batch_size": 10})
    kernels = (784 * 400, 400 * 7, 400 * 7, 7 * 400, 400 * 784)
    # Forward, and gradients of kernels and inputs; none of the image.
    assert flops.of_step(config) == 2 * 10 * (3 * sum(kernels) - kernels[0])


def test_operations_of_a_bound() -> None:
    config = config_of(**{"evaluate.importance_samples": 4_000})
    encoder, decoder = 784 * 400 + 2 * 400 * 7, 7 * 400 + 400 * 784
    # A first decoding, of which the compiler drops most, is written down, too.
    assert flops.of_bound(config) == 2 * (encoder + 4_001 * decoder)


def test_operations_of_convolutions() -> None:
    names = {f"model.{part}.name": "conv_locatello" for part in ("encoder", "decoder")}
    data = {"dataset.name": "sprites", "dataset.binarize": "none"}
    config = config_of(**names, **data, **{"dataset.batch_size": 2})
    halving = [(32, 16, 1, 32), (16, 16, 32, 32), (8, 4, 32, 64), (4, 4, 64, 64)]
    doubling = [(4, 16, 64, 64), (8, 16, 64, 32), (16, 16, 32, 32), (32, 16, 32, 1)]
    # (side of the smaller image, kernel, channels before, after)
    first, *rest = (side**2 * k * c * f for side, k, c, f in halving + doubling)
    dense = (1024 * 256, 256 * 7, 256 * 7, 7 * 256, 256 * 1024)
    expected = 2 * 2 * (2 * first + 3 * sum(rest) + 3 * sum(dense))
    # Rows of a transposed convolution's border see zeros, which are counted.
    assert flops.of_step(config) == pytest.approx(expected, rel=0.02)


def test_rates_are_steps_by_time_and_rounds_rotate(monkeypatch) -> None:
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def contestant(name: str, seconds: float, per_unit: float = 1.0) -> Contestant:
        def run_units(units: int) -> None:
            calls.append(name)
            clock[0] += units * seconds

        return Contestant(name, run_units, per_unit)

    entries = [contestant("slow", 0.5), contestant("fast", 0.01, per_unit=8)]
    slow, fast = timing.measure(entries, rounds=2, seconds=2.0)
    assert slow == pytest.approx([2, 2])
    assert fast == pytest.approx([800, 800])
    assert calls[-4:] == ["slow", "fast", "fast", "slow"]


def fixed_pace(units_per_second: float) -> Contestant:
    """Made in another process: one that takes time, and fails after 100 units."""

    def run_units(units: int) -> None:
        assert units < 100
        time.sleep(units / units_per_second)

    return Contestant("paced", run_units, per_unit=2)


def test_copies_work_at_the_same_time() -> None:
    with Isolated(fixed_pace, 100.0, copies=2) as isolated:
        contestant = isolated.contestant
        assert contestant.per_unit == 4
        start = time.perf_counter()
        contestant.run(50)
        assert 0.5 <= time.perf_counter() - start < 1.0


def test_contestants_of_other_processes_are_timed_and_their_death_told() -> None:
    with Isolated(fixed_pace, 100.0) as isolated:
        contestant = isolated.contestant
        assert (contestant.name, contestant.per_unit) == ("paced", 2)
        start = time.perf_counter()
        contestant.run(20)
        assert time.perf_counter() - start >= 0.2
        with pytest.raises(RuntimeError, match="died"):
            contestant.run(100)


@pytest.mark.parametrize("channels", [(1, 5), (5, 1), (3, 3)])
def test_ways_to_convolve_agree(channels: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, 8, 8, channels[0])), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(4, 4, *channels)), jnp.float32)
    for ways in (convolutions.halving_ways(), convolutions.doubling_ways()):
        (_, lax, _), *others = ways
        expected = lax(x, kernel)
        assert len(others) >= 4
        for name, way, _ in others:
            np.testing.assert_allclose(
                way(x, kernel), expected, atol=1e-4, err_msg=name
            )


def test_the_table_tells_ratio_and_share() -> None:
    results = {
        "about": {
            "packages": {"jax": "1.2"},
            "command": ["launch.py"],
            "git_commit": "abc",
            "time": "2026-01-02T03:04",
            "processor": "P",
            "cores": 2,
            "python": "3.11",
        },
        "peak_gflops": {"jax": 90.0, "torch": 100.0},
        "workloads": [
            {
                "name": "W",
                "unit": "steps/s",
                "gflop": 0.5,
                "rates": {"ours": [20.0, 40.0, 60.0], "other": [10.0, 10.0, 40.0]},
            }
        ],
        "convolutions": [
            {"layer": "L", "ms": {"a": [1.0, 3.0, 2.0]}},
            {"layer": "M", "ms": {"b": [200.0]}},
        ],
    }
    text = table.as_markdown(results)
    assert "| ours | 40.0 [20.0, 60.0] | 1.00 | 20 | 20% |" in text
    assert "| other | 10.0 [10.0, 40.0] | 2.00 | 5 | 5% |" in text
    assert "| L | 2.00 [1.00, 3.00] |  |" in text
    assert "| M |  | 200 [200, 200] |" in text


def test_the_example_has_our_weights_and_trains() -> None:
    config = config_of(**{"optimizer.eps": 1e-4})
    experiment = build(config)
    images = np.asarray(experiment.dataset.train.images[:200] > 127, np.uint8)
    model = flax_example.VAE((400,), 7, "relu")
    key = jax.random.key(0)
    theirs = model.init(key, images.reshape(200, -1).astype(np.float32), key)
    own, _ = experiment.make_own(7)
    keys = jax.random.split(key, 2)
    ours = own.init(key, images[:2].astype(np.float32), keys)
    assert num_weights(theirs["params"]) == num_weights(ours["params"])
    flax_example.training(config, images).run(3)


def test_without_pytorch_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    def version(name: str) -> str:
        raise run.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(run.metadata, "version", version)
    with pytest.raises(UserError, match=r"pip install -r requirements-benchmark\.txt"):
        run.run(config_of(), list, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ({"name": "W"}, "workloads"),
        ({"name": "W", "measure": "speed", "overrides": {}}, "train, sweep, nll"),
    ],
)
def test_bad_workloads_are_refused(monkeypatch, tmp_path, workload, message) -> None:
    monkeypatch.setattr(run.metadata, "version", lambda name: "1")
    with pytest.raises(UserError, match=message):
        run.run(config_of(), lambda: [workload], tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.prior.name": "vamp"}, "model.prior.name=vamp"),
        ({"objective.beta": 4.0}, "choose 1.0"),
        ({"model.decoder.widths": (9,)}, "another model.decoder.widths"),
        ({"evaluate.importance_samples": 1_500}, "a multiple, or fewer"),
    ],
)
def test_what_others_do_not_have_is_refused(
    monkeypatch, tmp_path, changes, message
) -> None:
    monkeypatch.setattr(run.metadata, "version", lambda name: "1")
    workload = {"name": "W", "measure": "train", "overrides": changes}
    with pytest.raises(UserError, match=message):
        run.run(config_of(), lambda: [workload], tmp_path / "run")


def test_ours_are_what_a_launch_runs(monkeypatch) -> None:
    monkeypatch.setattr(ours, "MEMBERS", 2)
    config = config_of(**{"model.encoder.widths": (8,), "model.decoder.widths": (8,)})
    alone = ours.training(config, "ours")
    for contestant in (alone, ours.together(config), ours.in_turn(config)):
        contestant.run(3)
        contestant.run(12)  # more than a call has
    assert ours.likelihood_bound(config).per_unit == 100


@pytest.mark.parametrize("name", ["mlp", "conv_locatello"])
def test_pytorch_has_our_weights(name: str) -> None:
    pytest.importorskip("torch", reason="needs requirements-benchmark.txt")
    from benchmarks import pytorch

    side = 64 if name == "conv_locatello" else 28
    data = {"dataset.name": "sprites", "dataset.binarize": "none"}
    names = {f"model.{part}.name": name for part in ("encoder", "decoder")}
    config = config_of(**names, **(data if side == 64 else {}))
    experiment = build(config)
    own, _ = experiment.make_own(7)
    key, x = jax.random.key(0), jnp.zeros((2, side, side, 1))
    ours = own.init(key, x, jax.random.split(key, 2))
    theirs = pytorch.make_vae(config, np.zeros((2, side, side, 1), np.uint8))
    assert num_weights(ours["params"]) == sum(p.numel() for p in theirs.parameters())


LAYERS = {  # of PyTorch's model, by ours
    "encoder.1": ("encoder", "mlp", "dense_0"),
    "mean": ("posterior", "mean"),
    "log_variance": ("posterior", "log_variance"),
    "decoder.0": ("decoder", "mlp", "dense_0"),
    "decoder.2": ("decoder", "output"),
}


def test_others_compute_our_loss_and_bound(monkeypatch) -> None:
    """With the same weights and noise: the same numbers, to float32's digits."""
    torch = pytest.importorskip("torch", reason="needs requirements-benchmark.txt")
    from benchmarks import pythae_trainer, pytorch

    config = config_of(**{"model.latent_dim": 5})
    experiment = build(config)
    own, _ = experiment.make_own(5)
    x = (np.asarray(experiment.dataset.test.images[:2]) > 127).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    variables = own.init(jax.random.key(1), x, keys)
    inference = own.apply(variables, x, keys, num_samples=3)
    terms = elbo_terms(inference, x)
    (group,) = inference.groups
    scale = group.posterior.base_dist.scale
    noise = torch.from_numpy(np.array((group.z - group.posterior.mean) / scale))

    theirs = pytorch.make_vae(config, x)
    for name, path in LAYERS.items():
        layer = functools.reduce(lambda tree, key: tree[key], path, variables["params"])
        module = theirs.get_submodule(name)
        module.weight.data = torch.from_numpy(np.array(layer["kernel"]).T)
        module.bias.data = torch.from_numpy(np.array(layer["bias"]))
    channels_first = torch.from_numpy(x).permute(0, 3, 1, 2)
    monkeypatch.setattr(torch, "randn_like", lambda _: noise[0])
    ours_now = float((terms.distortion[0] + terms.rate).mean())
    assert theirs(channels_first).item() == pytest.approx(ours_now, rel=1e-5)
    with torch.no_grad():
        mean, log_variance = theirs.encode(channels_first[:1])
        got = theirs.log_weights(channels_first[:1], mean, log_variance, noise[:, 0])
    np.testing.assert_allclose(got, terms.log_weights[:, 0], rtol=1e-5)

    monkeypatch.setattr(pytorch, "make_vae", lambda *_: theirs)
    pythae = pythae_trainer.make_vae(config, x)
    assert pythae({"data": channels_first}).loss.item() == pytest.approx(
        ours_now, rel=1e-5
    )


def test_samples_are_cut_into_chunks() -> None:
    pytest.importorskip("torch", reason="needs requirements-benchmark.txt")
    from benchmarks import pytorch

    assert pytorch.chunk_sizes(2_500) == [1_000, 1_000, 500]
    assert pytorch.chunk_sizes(2) == [2]
