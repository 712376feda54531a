"""Environment variables and limits with which JAX cannot start."""

import resource
import tempfile
from pathlib import Path

import jax
import pytest

from experiments import environment
from experiments.hints import Refused


@pytest.mark.parametrize("devices", ["abc", "-1", "0", "", "1.5", "100000"])
def test_numbers_of_devices_that_cannot_be(
    devices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", devices)
    said = environment.find_fault()
    assert said is not None
    assert said.startswith(f"JAX_NUM_CPU_DEVICES={devices} must be a whole number")


def test_a_good_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    monkeypatch.setenv("NUMBA_CACHE_DIR", tempfile.gettempdir())
    assert environment.find_fault() is None
    environment.start_devices()


@pytest.mark.parametrize(
    "told",
    ["invalid truth value 'x' for environment 'JAX_ENABLE_X64'", "jax_enable_x64"],
)
def test_the_variable_is_named(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_ENABLE_X64", "x")
    said = environment._explain_settings(ValueError(told))
    assert said.startswith("JAX_ENABLE_X64=x: ")


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError  # as JAX does for JAX_PLATFORMS=cuda without a plugin

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(jax, "devices", fail)
    with pytest.raises(Refused, match=r"^JAX_PLATFORMS=cuda: .* set it to cpu"):
        environment.start_devices()


def test_a_tight_limit_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10**9, -1))
    said = environment.find_fault()
    assert said is not None
    assert "0.9 GiB" in said


@pytest.mark.parametrize("asked", [True, False])
def test_a_gpu_is_deterministic_unless_the_user_says_otherwise(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(flags: str) -> str:
        monkeypatch.setattr(environment.os, "environ", {"XLA_FLAGS": flags})
        environment.set_compiler_options(is_deterministic=asked, keeps_compiled=True)
        return environment.os.environ["XLA_FLAGS"]

    own = f"{environment.DETERMINISTIC}={'true' if asked else 'false'}"
    assert chosen("") == own
    assert environment.is_deterministic()  # as a CPU always is
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert environment.is_deterministic() == asked
    assert chosen("--xla_other=1") == f"--xla_other=1 {own}"
    kept = f"{environment.DETERMINISTIC}={'false' if asked else 'true'}"
    assert chosen(kept) == kept
    assert environment.is_deterministic() != asked


def test_compiled_programs_are_kept_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(*, keeps: bool = True, **variables: str) -> str | None:
        monkeypatch.setattr(environment.os, "environ", variables)
        environment.set_compiler_options(is_deterministic=True, keeps_compiled=keeps)
        return environment.os.environ.get("JAX_COMPILATION_CACHE_DIR")

    found = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert found is not None
    assert Path(found).parent == tmp_path / "vae" / "compiled"
    assert (
        chosen(XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR="own") == "own"
    )
    assert chosen(XDG_CACHE_HOME="/dev/null") is None
    assert chosen(keeps=False, XDG_CACHE_HOME=str(tmp_path)) is None
    assert environment.os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_numba_has_somewhere_to_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(**variables: str) -> str | None:
        for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        environment._find_numba_a_cache()
        return environment.os.environ.get("NUMBA_CACHE_DIR")

    assert chosen(XDG_CACHE_HOME=str(tmp_path)) is None
    assert chosen(NUMBA_CACHE_DIR=str(tmp_path / "new")) == str(tmp_path / "new")
    found = chosen(XDG_CACHE_HOME="/dev/null/cache")
    assert found is not None
    assert found.startswith(tempfile.gettempdir())
    assert chosen(XDG_CACHE_HOME="/dev/null", NUMBA_CACHE_DIR="/dev/null") == found
