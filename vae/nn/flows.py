"""Normalising flows: invertible maps of a latent code, with log-determinants.

Every flow is a Linen module `(u [..., D], context) -> (z [..., D], log_det [...])`,
with log_det = log |det dz/du| in nats. `inverse(z, context) -> (u, log_det)` undoes it
and returns the same log_det, where the flow has an inverse. The context [..., C], or
None, conditions the map; its leading axes broadcast with those of the code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae.nn.layers import KERNEL_INIT, dense

Mapped = tuple[jax.Array, jax.Array]  # the image [..., D] and log_det [...]
TINY = 1e-12  # keeps the planar flow finite at w = 0


class MaskedDense(nn.Module):
    """A dense layer in which an output of degree d sees inputs of degrees up to d, or,
    if `strict`, below d."""

    degrees_in: tuple[int, ...]
    degrees_out: tuple[int, ...]
    strict: bool = False
    kernel_init: nn.initializers.Initializer = KERNEL_INIT
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., in] to [..., out]."""
        seen = np.array(self.degrees_in)[:, None] + self.strict
        mask = (seen <= np.array(self.degrees_out)).astype(self.dtype)
        kernel = self.param("kernel", self.kernel_init, mask.shape, self.dtype)
        bias = self.param("bias", nn.initializers.zeros, mask.shape[1:], self.dtype)
        return x @ (kernel * mask) + bias


class Autoregressive(nn.Module):
    """A masked network: the outputs of group g depend on the inputs of groups < g, and
    of those on the first W only, if a layer has W units.

    References:
      Germain et al. 2015, arXiv 1502.03509 (MADE).
    """

    groups: int
    inputs_per_group: int
    outputs_per_group: int
    widths: Sequence[int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array | None = None) -> jax.Array:
        """Maps [..., groups * inputs_per_group] to [..., groups, outputs_per_group].

        The last layer starts at zero, so that a flow starts near the identity and a
        distribution over codes uniform.
        """
        zeros, groups = nn.initializers.zeros, range(self.groups)
        degrees = tuple(g for g in groups for _ in range(self.inputs_per_group))
        for i, width in enumerate(self.widths):
            # No unit of the last group's degree: nothing comes after it to see it.
            hidden = tuple(unit % max(self.groups - 1, 1) for unit in range(width))
            x = MaskedDense(degrees, hidden, dtype=self.dtype, name=f"hidden_{i}")(x)
            if context is not None:
                x += dense(width, f"context_{i}", self.dtype)(context)
            x, degrees = nn.elu(x), hidden
        outputs = tuple(g for g in groups for _ in range(self.outputs_per_group))
        x = MaskedDense(degrees, outputs, True, zeros, self.dtype, name="output")(x)
        if context is not None:  # group 0 sees no hidden unit, but the context
            layer = dense(len(outputs), "context", self.dtype, kernel_init=zeros)
            x += layer(context)
        return x.reshape(*x.shape[:-1], self.groups, self.outputs_per_group)


class InverseAutoregressive(nn.Module):
    """z_d = s_d u_d + (1 - s_d) m_d with s in (0, 1) and m functions of u_{<d}.

    Fast from u to z; the way back takes D passes of the network.

    References:
      Kingma et al. 2016, arXiv 1606.04934, eq. 13 and 14.
    """

    dim: int
    widths: Sequence[int]
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.network = Autoregressive(self.dim, 1, 2, self.widths, self.dtype)

    def __call__(self, u: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring."""
        mean, log_gate, log_complement = _gated(self.network(u, context))
        z = jnp.exp(log_gate) * u + jnp.exp(log_complement) * mean
        return z, log_gate.sum(-1)

    def inverse(self, z: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring. Pass d solves dimension d."""
        network, variables = self.network.unbind()

        def solve(d: jax.Array, u: jax.Array) -> jax.Array:
            parameters = network.apply(variables, u, context)
            mean, log_gate, log_complement = _gated(jnp.asarray(parameters))
            solution = (z - jnp.exp(log_complement) * mean) * jnp.exp(-log_gate)
            # The later dimensions wait at zero: guesses of them might overflow.
            return u.at[..., d].set(solution[..., d])

        u = jax.lax.fori_loop(0, self.dim, solve, jnp.zeros_like(z))
        return u, _gated(self.network(u, context))[1].sum(-1)


def _gated(parameters: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[..., D, 2] to mean, log s and log(1 - s), [..., D]; s starts at .88, nearly
    open, as the paper advises."""
    mean, logit = jnp.moveaxis(parameters, -1, 0)
    return mean, nn.log_sigmoid(logit + 2), nn.log_sigmoid(-logit - 2)


class Coupling(nn.Module):
    """One half of the code is scaled and shifted by functions of the other half.

    References:
      Dinh et al. 2017, arXiv 1605.08803, eq. 4 to 8 (RealNVP). The log-scale is
      bounded to (-2, 2) by a tanh, for stability.
    """

    dim: int
    widths: Sequence[int]
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.hidden = [
            dense(width, f"hidden_{i}", self.dtype)
            for i, width in enumerate(self.widths)
        ]
        self.from_context = [
            dense(width, f"context_{i}", self.dtype)
            for i, width in enumerate(self.widths)
        ]
        zeros = nn.initializers.zeros  # starts as the identity
        changed = self.dim - self.dim // 2
        self.output = dense(2 * changed, None, self.dtype, kernel_init=zeros)

    def _log_scale_and_shift(self, x: jax.Array, context: jax.Array | None):
        if self.dim == 1:  # there is no other half
            x = jnp.ones_like(x, shape=(*x.shape[:-1], 1))
        for layer, from_context in zip(self.hidden, self.from_context, strict=True):
            x = layer(x)
            x = nn.elu(x if context is None else x + from_context(context))
        log_scale, shift = jnp.split(self.output(x), 2, axis=-1)
        return 2 * jnp.tanh(log_scale / 2), shift

    def __call__(self, u: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring."""
        kept, changed = u[..., : self.dim // 2], u[..., self.dim // 2 :]
        log_scale, shift = self._log_scale_and_shift(kept, context)
        changed = changed * jnp.exp(log_scale) + shift
        return jnp.concatenate([kept, changed], -1), log_scale.sum(-1)

    def inverse(self, z: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring."""
        kept, changed = z[..., : self.dim // 2], z[..., self.dim // 2 :]
        log_scale, shift = self._log_scale_and_shift(kept, context)
        changed = (changed - shift) * jnp.exp(-log_scale)
        return jnp.concatenate([kept, changed], -1), log_scale.sum(-1)


class Planar(nn.Module):
    """z = u + v tanh(w u + b), with v kept where the map is invertible.

    v, w and b are functions of the context, or parameters without one.

    References:
      Rezende & Mohamed 2015, arXiv 1505.05770, eq. 10 to 12 and appendix A.1.
    """

    dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, u: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring."""
        context = jnp.ones(1, u.dtype) if context is None else context
        near_zero = nn.initializers.normal(0.01)
        size = 2 * self.dim + 1
        layer = dense(size, "parameters", self.dtype, kernel_init=near_zero)
        v, w, b = jnp.split(layer(context), (self.dim, 2 * self.dim), axis=-1)
        product, square = _dot(w, v), _dot(w, w)
        positive = nn.softplus(product)
        v += (positive - 1 - product) * w / (square + TINY)
        # 1 + w v, and below 1 + (1 - bent^2) w v, as sums that do not cancel.
        most = (positive * square + (1 + product) * TINY) / (square + TINY)
        bent = jnp.tanh(_dot(w, u) + b)
        stretch = bent**2 + (1 - bent**2) * most
        return u + v * bent, jnp.log(jnp.abs(stretch))[..., 0]

    def inverse(self, z: jax.Array, context: jax.Array | None = None) -> Mapped:
        """There is one, but no closed form of it."""
        raise NotImplementedError("Planar has no inverse in closed form")


def _dot(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns x . y [..., 1]. Not `(x * y).sum(-1)`, which XLA on CPU (jaxlib 0.10.2)
    computes wrongly where x [B, D] meets a large y [K, B, D] and the sum is fused with
    what uses it."""
    return jnp.vecdot(x, y, precision="highest")[..., None]


class Chain(nn.Module):
    """Several flows, one after the other, with the order of dimensions reversed in
    between, so that each is changed in turn."""

    flows: Sequence[Any]

    def __call__(self, u: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring."""
        total = jnp.zeros(u.shape[:-1], u.dtype)
        for flow in self.flows:
            u, log_det = flow(u[..., ::-1], context)
            total += log_det
        return u, total

    def inverse(self, z: jax.Array, context: jax.Array | None = None) -> Mapped:
        """See the module's docstring.

        Raises:
          NotImplementedError: one of the flows has no inverse in closed form.
        """
        total = jnp.zeros(z.shape[:-1], z.dtype)
        for flow in reversed(self.flows):
            z, log_det = flow.inverse(z, context)
            z, total = z[..., ::-1], total + log_det
        return z, total


def chain(num_layers: int, flow: Callable[..., nn.Module], *fields: Any) -> Chain:
    """Returns a chain of layers of one kind, `flow(*fields)`."""
    return Chain([flow(*fields) for _ in range(num_layers)])
