"""Scores of how a code's dimensions and the factors of variation go together."""
