"""Distributions that numpyro lacks, in its form."""
