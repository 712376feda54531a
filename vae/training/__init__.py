"""Training: state, optimizer, compiled step, loop, checkpoints and metrics."""
