import jax.numpy as jnp
import numpy as np

from experiments.program import make_program, own_model
from vae.build import build
from vae.latents.swap import style_transfer, swap


def test_a_swap_takes_the_chosen_dimensions_of_the_first() -> None:
    a = np.array([[1, 2, 3], [4, 5, 6]])
    b = np.array([[-1, -2, -3], [-4, -5, -6], [-7, -8, -9]])
    swapped = swap(a, b, np.array([True, False, True]))
    assert swapped.shape == (2, 3, 3)
    np.testing.assert_array_equal(swapped[1, 2], [4, -8, 6])
    np.testing.assert_array_equal(swapped[0, 1], [1, -5, 3])


def test_a_style_is_put_on_every_label() -> None:
    z = np.arange(6.0).reshape(3, 2)
    images = style_transfer(
        lambda z, label: z[:, :1] + 10 * label[:, None], z, num_labels=4
    )
    expected = np.array([0, 2, 4])[:, None] + 10 * np.arange(4)
    np.testing.assert_array_equal(images[..., 0], expected)


def test_a_conditional_model_transfers_styles(small_config) -> None:
    small_config.model.condition = "label"
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    model, variables = own_model(experiment, state)

    def decode(z, label):
        return model.apply(variables, z, label=label, method="decode").mean

    z = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
    images = style_transfer(decode, z, 10)
    assert images.shape == (2, 10, 28, 28, 1)
    alone = decode(z[1:], jnp.array([7]))[0]
    np.testing.assert_allclose(images[1, 7], alone, atol=1e-6)
    assert np.abs(images[1, 7] - images[1, 3]).max() > 1e-3
