"""Four simulated devices for every test, and small experiments to run on them."""

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from jaxtyping import install_import_hook

from configs import default

# Shapes of the public functions are checked at each call.
install_import_hook(["vae.fitted", "vae.fitting", "vae.saved"], "beartype.beartype")

# Tests compile far more than they compute: what makes programs fast takes two thirds of
# their time. Launched commands run as users' do, and so do all tests under
# `XLA_FLAGS= python -m pytest`.
FLAGS = [
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if jax.__version_info__ < (0, 11):  # later versions end at a flag that is gone
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))
# Launched commands share a folder of compiled programs. Within the tests it saves less
# than its keys cost.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="vae-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_traceback_in_locations_limit", 0)
jax.config.update("jax_num_cpu_devices", 4)
gc.set_threshold(50_000, 20, 50)  # traces leave much that is not garbage
NAMES: list[str] = []  # of what was compiled, in order: "jit(call)"
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **details: (
        NAMES.append(details["fun_name"])
        if event == "/jax/core/compile/backend_compile_duration"
        else None
    )
)
KEPT = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
ROOT = Path(__file__).parents[1]


MINUTES_LONG = (
    *("test_configs.py", "test_members.py", "test_interrupt.py", "test_registry.py"),
    *("test_sweep.py", "test_evaluate.py", "test_run.py", "test_launch.py"),
    *("test_saved.py", "test_impute.py", "test_score.py", "test_step.py"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all cases of a test that is `sampled(n)` as slow, except n evenly spaced
    ones. Files that take minutes come first: each is done by one process, and none
    should be left to one while the other has nothing to do."""
    cases: dict[Any, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            cases.setdefault((item.path, item.originalname), []).append(item)
    for of_test in cases.values():
        (count,) = of_test[0].get_closest_marker("sampled").args
        quick = {i * len(of_test) // count for i in range(count)}
        for place, item in enumerate(of_test):
            if place not in quick:
                item.add_marker("slow")
    items.sort(key=lambda item: item.path.name not in MINUTES_LONG)


@pytest.fixture(autouse=True)
def _restore_numerics() -> Iterator[None]:
    """`build` sets JAX's precision for the process; tests start in float32."""
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def compilations() -> Callable[[str], int]:
    """Returns how often a function of a name has been compiled in this test."""
    start = len(NAMES)
    return lambda name: NAMES[start:].count(f"jit({name})")


@pytest.fixture
def small_config() -> Any:
    """A beta-VAE on one device that trains in about a second."""
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (16,)
    config.dataset.batch_size = 20
    config.evaluate.bounds.importance_samples = 3
    return config


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `launch.py` as a user does, in an empty folder, with a clean environment."""

    def run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            launch_command(*flags),
            check=False,
            cwd=tmp_path,
            env=launch_environment(**environment),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def launch_command(*flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "launch.py"), *flags]


def launch_environment(**changes: str) -> dict[str, str]:
    """Returns this environment without JAX's settings but the cache's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or not name.startswith(("JAX_", "XLA_"))
    }
    return kept | changes


@pytest.fixture
def mnist_dir() -> str:
    """The TFDS folder that holds MNIST, or a skip that says what to set."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not (Path(folder) / "mnist").is_dir():
        pytest.skip("needs MNIST: set TFDS_DATA_DIR to a folder where TFDS prepared it")
    return folder
