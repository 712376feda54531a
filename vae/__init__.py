"""Variational autoencoders in JAX and Flax Linen: pure functions of arrays."""
