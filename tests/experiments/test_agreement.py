from pathlib import Path

import numpy as np
import pytest

from experiments import agreement, workdir


def test_runs_that_are_alike_agree(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(500, 3))
    kl = [3.0, 2.0, 0.001]  # the last is not informative
    folders = []
    for name, z in (("a", first), ("b", -first), ("c", random.normal(size=(500, 3)))):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        np.save(folders[-1] / agreement.CODES_FILE, z)
        workdir.write_json(folders[-1] / "results.json", {"latent/kl_per_dim": kl})
    twins = agreement.score_agreement(folders[:2])
    assert twins[0]["disentanglement/udr_spearman"] == pytest.approx(1, abs=0.2)
    assert twins[0]["disentanglement/udr_lasso"] == pytest.approx(0.9)
    stranger = agreement.score_agreement(folders[::2])
    assert stranger[1]["disentanglement/udr_spearman"] < 0.2
    assert agreement.score_agreement(folders[:1]) == [{}]
    # A prior that is not Gaussian gives codes, but no KL per dimension.
    workdir.write_json(folders[2] / "results.json", {"test/rate_nats": 5.0})
    assert agreement.score_agreement(folders) == [{}, {}, {}]
    (folders[0] / agreement.CODES_FILE).unlink()
    assert agreement.score_agreement(folders[:2]) == [{}, {}]
