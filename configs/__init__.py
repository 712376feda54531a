"""Experiments as files; each is launched by `--config=configs/NAME.py`."""
