"""Linen modules: layers, encoders, decoders and flows."""
