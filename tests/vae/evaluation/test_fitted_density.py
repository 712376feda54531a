import numpy as np

from experiments.evaluate import make_trained
from experiments.program import make_program
from vae.build import build
from vae.evaluation import fitted_density


def test_codes_do_not_depend_on_the_batch(small_config) -> None:
    experiment = build(small_config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    trained, test = make_trained(experiment, program, state), experiment.dataset.test
    whole = fitted_density._codes(trained, test[:501], "test")
    part = fitted_density._codes(trained, test[:20], "test")
    assert whole.shape == (500, 4)
    np.testing.assert_allclose(whole[:20], part, atol=1e-6)
