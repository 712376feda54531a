"""Tools for latent spaces: arrays in, arrays out."""
