"""Training criteria: pure functions that read a model only through `Inference`."""
