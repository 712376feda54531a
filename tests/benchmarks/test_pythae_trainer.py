import functools

import jax
import numpy as np
import pytest

from tests.benchmarks.test_run import config_of
from vae.build import build
from vae.objectives.base import elbo_terms

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
