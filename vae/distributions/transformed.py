"""What a normalising flow makes of a distribution."""

from typing import Any

import jax
from flax import linen as nn
from numpyro.distributions import Distribution as NumpyroDistribution

from vae.types import Distribution, Params


class TransformedDistribution(NumpyroDistribution):
    """The distribution of z = f(u) for u of a base distribution and a flow f.

    It is a pytree: the flow's parameters are data, its module is static.
    """

    pytree_data_fields = ("base", "variables", "context")
    pytree_aux_fields = ("flow",)

    def __init__(
        self,
        base: Distribution,
        flow: nn.Module,
        variables: Params,
        context: jax.Array | None = None,
    ):
        """Takes the base, a flow (`vae.nn.flows`), its parameters and context."""
        self.base, self.flow, self.variables = base, flow, variables
        self.context = context
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def push(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps samples u [..., D] of the base to z [..., D] and log p(z) [...]."""
        z, log_det = self._apply(u)
        return z, self.base.log_prob(u) - log_det

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes z [..., D], in nats.

        Raises:
          NotImplementedError: the flow has no inverse.
        """
        u, log_det = self._apply(value, method="inverse")
        return self.base.log_prob(u) - log_det

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, ..., D]."""
        return self._apply(self.base.sample(key, sample_shape))[0]

    def _apply(self, code: jax.Array, **kwargs: Any) -> Any:
        return self.flow.apply(self.variables, code, self.context, **kwargs)
