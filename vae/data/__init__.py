"""Data sources, preprocessing and batching."""
