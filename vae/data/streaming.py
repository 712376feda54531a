"""The streaming path: data too large for the device, read ahead by Grain."""

import functools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np

from vae.data.batching import host_order
from vae.data.splits import Split
from vae.data.storage import allocate

READ_THREADS = 2
CHUNKS_AHEAD = 2  # read before they are asked for; one more waits on the device
CHUNK_BYTES = 64 * 2**20  # a call's batches are held together in memory


def steps_per_chunk(split: Split, batch_size: int, steps_per_call: int) -> int:
    """Returns how many steps one call may take so that its batches fit CHUNK_BYTES."""
    batch_bytes = batch_size * split.images[0].nbytes
    return max(1, min(steps_per_call, CHUNK_BYTES // batch_bytes))


def stream_chunks(
    split: Split,
    calls: Sequence[tuple[int, int]],
    *,
    runs: Sequence[tuple[int, np.ndarray | None]],
    steps_per_epoch: int,
    batch_size: int,
    chunk_steps: int,
    sharding: Any,
) -> Iterator[Split]:
    """Yields, for each call `(first step, end step)`, its batches on the device.

    Each of M runs has a seed, and keeps the examples of `split` that a bool [N] says,
    or all (None). Images are [M, chunk_steps, B, H, W, C] and labels
    [M, chunk_steps, B]; the steps past the call's end are padding. The batches are
    those of the resident path. The iterator has no state to save: the position in the
    data is the step, which the checkpoint holds, so a run may change its data path or
    device count and go on.
    """

    lock = threading.Lock()  # threads that need the same order wait for one of them

    @functools.lru_cache(maxsize=2)
    def orders(epoch: int) -> np.ndarray:
        found = allocate((len(runs), split.size), np.int32)
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            for row, (seed, kept) in zip(found, runs, strict=True):
                row[:] = host_order(seed, epoch, split.size, kept)
        return found

    def read(call: tuple[int, int]) -> Split:
        indices = np.zeros((len(runs), chunk_steps, batch_size), np.int64)
        for row, step in enumerate(range(*call)):
            epoch, batch = divmod(step, steps_per_epoch)
            places = slice(batch * batch_size, (batch + 1) * batch_size)
            with lock:
                order = orders(epoch)
            indices[:, row] = order[:, places]
        return split[indices]

    def to_devices(chunk: Split) -> Split:
        # Unlike `device_put`, this is no collective: a thread of its own may do it.
        return jax.tree.map(
            lambda array: jax.make_array_from_callback(
                array.shape, sharding, lambda index: array[index]
            ),
            chunk,
        )

    source = grain.MapDataset.source(calls).map(read)
    chunks = source.to_iter_dataset(grain.ReadOptions(READ_THREADS, CHUNKS_AHEAD))
    prefetch = grain.experimental.ThreadPrefetchIterDataset
    return iter(prefetch(chunks.map(to_devices), prefetch_buffer_size=1))
