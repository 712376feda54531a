"""Speed beside PyTorch and others, on one machine."""
