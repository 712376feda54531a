import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.training.checkpoint import Checkpointer
from vae.training.parallel import make_placement
from vae.types import UserError

TREE = {"w": jnp.arange(100_000.0), "step": jnp.int32(7)}


def save_steps(workdir: Path, *steps: int) -> None:
    checkpointer = Checkpointer(workdir)
    for step in steps:
        tree = {"w": TREE["w"] + step, "step": jnp.int32(step)}
        checkpointer.save(step, tree, {"seconds": {"train": step / 2}})
    checkpointer.wait()
    checkpointer.close()


def restore(workdir: Path, target=TREE):
    checkpointer = Checkpointer(workdir)
    restored = checkpointer.restore(target)
    checkpointer.close()
    return restored


def largest_file(folder: Path) -> Path:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def test_nothing_to_restore(tmp_path: Path) -> None:
    assert restore(tmp_path) is None


def test_the_newest_is_restored_and_three_are_kept(tmp_path: Path) -> None:
    save_steps(tmp_path, 10, 20, 30, 40)
    restored = restore(tmp_path)
    assert restored is not None
    assert (restored.step, restored.info) == (40, {"seconds": {"train": 20.0}})
    np.testing.assert_array_equal(restored.tree["w"], TREE["w"] + 40)
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [20, 30, 40]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "flipped": flip,
    "truncated": lambda c: c[: len(c) // 2],
    "empty": lambda c: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save_steps(tmp_path, 10, 20)
    victim = largest_file(tmp_path / "checkpoints/20")
    victim.write_bytes(DAMAGES[damage](victim.read_bytes()))
    with caplog.at_level(logging.WARNING):
        restored = restore(tmp_path)
    assert restored is not None
    assert restored.step == 10
    np.testing.assert_array_equal(restored.tree["w"], TREE["w"] + 10)
    assert "step 20 is damaged" in caplog.text
    assert (tmp_path / "damaged_checkpoint_20").is_dir()
    save_steps(tmp_path, 20)  # the step may be written again, and damaged again
    victim = largest_file(tmp_path / "checkpoints/20")
    victim.write_bytes(DAMAGES[damage](victim.read_bytes()))
    restored = restore(tmp_path)
    assert restored is not None
    assert restored.step == 10


def test_what_only_reads_leaves_the_folder_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process may be saving there."""
    save_steps(tmp_path, 10, 20)
    victim = largest_file(tmp_path / "checkpoints/20")
    victim.write_bytes(flip(victim.read_bytes()))
    begun = tmp_path / "checkpoints/30.orbax-checkpoint-tmp-0"
    begun.mkdir()
    before = sorted(tmp_path.rglob("*"))
    reader = Checkpointer(tmp_path, reads_only=True)
    restored = reader.restore(TREE)
    reader.close()
    assert restored is not None and restored.step == 10
    assert "step 20 is damaged" in caplog.text
    assert sorted(tmp_path.rglob("*")) == before
    empty = Checkpointer(tmp_path / "none", reads_only=True)
    assert empty.restore(TREE) is None
    empty.close()
    assert not (tmp_path / "none").exists()
    assert restore(tmp_path) is not None
    assert not begun.exists() and (tmp_path / "damaged_checkpoint_20").exists()


def test_if_none_can_be_read_nothing_is_moved(tmp_path: Path) -> None:
    save_steps(tmp_path, 10)
    victim = largest_file(tmp_path / "checkpoints/10")
    victim.write_bytes(flip(victim.read_bytes()))
    with pytest.raises(UserError, match="no checkpoint .* can be read"):
        restore(tmp_path)
    assert (tmp_path / "checkpoints/10").is_dir()


def test_arrays_of_another_structure_are_no_damage(tmp_path: Path) -> None:
    save_steps(tmp_path, 10, 20)
    with pytest.raises(UserError, match="1 arrays differ, such as new"):
        restore(tmp_path, {**TREE, "new": jnp.zeros(3)})
    assert restore(tmp_path) is not None


def test_a_checkpoint_moves_between_device_counts(tmp_path: Path) -> None:
    for devices, step in ((1, 1), (4, 2), (1, 3)):
        placement = make_placement("jit", devices, batch_size=4)
        target = jax.device_put(TREE, placement.replicated)
        restored = restore(tmp_path, target)
        if restored is not None:
            assert restored.step == step - 1
            for leaf in jax.tree.leaves(restored.tree):
                assert leaf.sharding.num_devices == devices
            np.testing.assert_array_equal(restored.tree["w"], TREE["w"])
        checkpointer = Checkpointer(tmp_path)
        checkpointer.save(step, target, {})
        checkpointer.wait()
        checkpointer.close()


def test_what_is_not_essential_may_come_and_go(tmp_path: Path) -> None:
    save_steps(tmp_path, 10)
    target = {"step": jnp.int32(0), "new": jnp.full(3, 5.0)}
    checkpointer = Checkpointer(tmp_path)
    restored = checkpointer.restore(target, lambda name: name == "step")
    checkpointer.close()
    assert restored is not None
    assert restored.tree["step"] == 10
    np.testing.assert_array_equal(restored.tree["new"], target["new"])
