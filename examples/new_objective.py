"""A new objective is a function of what the model infers.

This one asks for a rate: the squared distance of the batch's mean KL from a target, in
nats, takes the KL's place beside the distortion.
"""

import vae


def rate_target(
    inference: vae.Inference,
    terms: vae.ElboTerms,
    moment: object,
    *,
    target: float,
    weight: float = 1.0,
):
    """Returns what is added to the distortion, and metrics."""
    del inference, moment
    rate = terms.rate.mean()  # terms are [K, B], in nats
    return weight * (rate - target) ** 2, {"distance_nats": abs(rate - target)}


train, test = vae.mnist_5k()
model = vae.VAE(
    encoder=vae.MLPEncoder(widths=(256,)),
    posterior=vae.DiagonalGaussian(latent_dim=10),
    prior=vae.StandardNormal(latent_dim=10),
    decoder=vae.MLPDecoder(widths=(256,), event_shape=(28, 28, 1)),
    likelihood=vae.Bernoulli(),
)
objective = vae.objective(rate_target, target=15.0, weight=10.0)
fitted = vae.fit(model, objective, train.images, steps=2_000, binarize=True)
bounds = fitted.bounds(test.images)
print(f"the rate is {bounds.rate.mean():.1f} nats on the test images, asked: 15")
