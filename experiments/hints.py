"""What is wrong with a word of the command line, and what to write instead.

Imports nothing that takes long, so that a wrong flag is refused at once.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from configs import default

ROOT = Path(__file__).parents[1]
NUMBERS = {int: ("a whole number", "10000"), float: ("a number", "0.5")}


def unknown_field(field: str, known: Iterable[str]) -> str:
    """Returns the message for an unknown field, with the closest match.

    That is one with the same last part, as objective.beta for beta; else one that is
    written nearly so; else one whose last part is.

    Args:
      field: as in objective.beta.
      known: all fields of the config.
    """
    by_last: dict[str, list[str]] = {}
    for name in known:
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    *_, last = field.rpartition(".")
    everything = [name for names in by_last.values() for name in names]
    like = difflib.get_close_matches(last, by_last, n=1)
    near = (
        difflib.get_close_matches(field, by_last.get(last, []), n=1, cutoff=0)
        or difflib.get_close_matches(field, everything, n=1)
        or difflib.get_close_matches(field, by_last[like[0]] if like else [], 1, 0)
    )
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"the config has no field {field}{hint}"


def wrong_type(field: str, value: Any, current: Any) -> str:
    """Returns the message for a value of the wrong type.

    Args:
      field: its name.
      value: as it was written, or read.
      current: a value of the right type.
    """
    if type(current) not in NUMBERS:
        return (
            f"{field}={value} is of the wrong type: it must be "
            f"{type(current).__name__}, as in {field}={current}"
        )
    kind, example = NUMBERS[type(current)]
    if isinstance(current, int) and _is_whole(value):
        example = str(int(float(value)))
    return f"{field}={value} must be {kind}, as in {example}"


def _is_whole(value: Any) -> bool:
    try:
        return float(value).is_integer()
    except (TypeError, ValueError):
        return False


def missing_file(file: str) -> str:
    """Returns the message for a missing config file, with the closest match."""
    here = Path("configs") if Path("configs").is_dir() else ROOT / "configs"
    by_stem = {path.stem: path for path in sorted(here.rglob("[!_]*.py"))}
    near = difflib.get_close_matches(Path(file).stem, by_stem, n=1, cutoff=0.5)
    hint = f"; did you mean {by_stem[near[0]]}?" if near else ""
    return f"--config={file}: no such file{hint} (configs/... is sought in this folder)"


def explain_flags(error: Exception, arguments: Sequence[str]) -> str:
    """Returns the cause of a refused command line, which ml_collections wraps in
    layers."""
    text = str(error).replace("\\'", "'").replace("\\n", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    files = [m[1] for a in arguments if (m := re.match(r"--?config=([^:]*)", a))]
    if files and not Path(files[-1]).exists():
        return missing_file(files[-1])
    if files and Path(files[-1]).is_dir():
        return f"--config={files[-1]} is a folder: name a file in it"
    if "Error whilst parsing config file" in text:
        return f"--config: {lines[-1].removeprefix('ValueError: ')}"
    if match := re.search(r"flag (--\S+?)=(.*?): (.*)", text):
        return _explain_value(match[1].removeprefix("--config."), *match.groups()[1:])
    if isinstance(error, (AttributeError, KeyError)) or "Did you mean" in text:
        known = _leaves(default.get_config())
        for field in _overridden(arguments) if files else ():
            if not any(f"{name}.".startswith(f"{field}.") for name in known):
                return unknown_field(field, known)
    if match := re.search(r"Unknown command line flag '(config\..*?)'", text):
        return (
            f"--{match[1]} needs --config=FILE before it, or --workdir=FOLDER of a run"
        )
    return " ".join(lines)


def _explain_value(field: str, value: str, reason: str) -> str:
    if "invalid literal for int" in reason:
        return wrong_type(field, value, 0)
    if "could not convert string to float" in reason:
        return wrong_type(field, value, 0.0)
    if "as a ConfigDict" in reason:
        known = [n for n in _leaves(default.get_config()) if n.startswith(f"{field}.")]
        return f"{field} is a group of fields: set one of {', '.join(known)}"
    return f"{field}={value}: {reason}"


def _overridden(arguments: Sequence[str]) -> list[str]:
    matches = (re.match(r"--?(?:no)?config\.([^=]+)", word) for word in arguments)
    return [match[1] for match in matches if match]


def _leaves(config: Any, prefix: str = "") -> list[str]:
    """Returns the names of all fields."""
    names = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        names += _leaves(value, f"{name}.") if hasattr(value, "items") else [name]
    return names
