"""What is wrong with a word of the command line, and what to write instead.

Imports nothing that takes long, so that a wrong flag is refused at once.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import default

ROOT = Path(__file__).parents[1]
WORDS = {  # what a value of each type is called
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a name",
    tuple: "whole numbers with commas between",
}
# Fields that hold tuples of words, each with an example.
OF_WORDS = {"dataset.column_kinds": "\"('age:count','id:ignore')\""}


class Refused(Exception):
    """A word of the command line is wrong: one sentence on what to write instead."""


def unknown_field(field: str, known: Iterable[str]) -> str:
    """Returns the message for an unknown field, with the closest match."""
    near = _nearest_field(field, known)
    hint = f"; did you mean {near}?" if near else ""
    return f"the config has no field {field}{hint}"


def _nearest_field(field: str, known: Iterable[str]) -> str | None:
    """Returns a field with the same last part, as objective.beta for beta; else one
    that is written nearly so; else one whose last part is.

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
    return near[0] if near else None


def wrong_type(field: str, value: Any, current: Any) -> str:
    """Returns the message for a value of the wrong type.

    Args:
      field: its name.
      value: as it was written, or read.
      current: a value of the right type.
    """
    example = current
    if field in OF_WORDS:
        return f"{field}={value} must be names in quotes, as in {OF_WORDS[field]}"
    if isinstance(current, tuple):
        example = ",".join(map(str, current or (1, 2)))
    elif type(current) is int and _is_whole(value):
        example = int(float(value))
    hint = "" if isinstance(current, bool) else f", as in {field}={example}"
    return f"{field}={value} must be {WORDS[type(current)]}{hint}"


def _is_whole(value: Any) -> bool:
    try:
        return float(value).is_integer()
    except (TypeError, ValueError):
        return False


def check_tuples(overrides: Mapping[str, Any]) -> None:
    """Refuses words in lists of numbers, and numbers in lists of words: ml_collections
    reads (a,) as a list of one word."""
    for field, value in overrides.items():
        if not isinstance(value, tuple):
            continue
        is_word = [isinstance(each, str) for each in value]
        if not all(is_word) if field in OF_WORDS else any(is_word):
            said = ",".join(map(str, value))
            raise Refused(wrong_type(field, said, _fields().get(field, ())))


def missing_file(file: str) -> str:
    """Returns the message for a missing config file, with the closest match."""
    by_stem: dict[str, Path] = {}
    for folder in ROOT, Path():  # of files with the same name, the last is meant
        found = sorted(folder.glob("configs/**/[!_]*.py"))
        by_stem |= {path.stem: path.relative_to(folder) for path in found}
    near = difflib.get_close_matches(Path(file).stem, by_stem, n=1, cutoff=0.5)
    hint = f"; did you mean {by_stem[near[0]]}?" if near else ""
    return (
        f"--config={file}: no such file{hint} (configs/... is sought in this folder, "
        "then in that of the program)"
    )


def no_run(folder: Path) -> str:
    """Returns the message for a folder that should hold a run."""
    members = sorted(folder.glob("members/*/config.json"))
    if not members:
        return f"--workdir={folder} holds no run (no config.json)"
    return (
        f"--workdir={folder} is the folder of a sweep or a table: name a member, as in "
        f"--workdir={members[0].parent}"
    )


def check_values_given(arguments: Sequence[str], flags: dict[str, bool]) -> None:
    """Refuses a flag without a value that would take the next flag for it.

    Args:
      arguments: of the command line.
      flags: says of each flag if it is true or false, and so needs no value.
    """
    fields = {f"config.{k}": isinstance(v, bool) for k, v in _fields().items()}
    fields |= flags
    for word, following in zip(arguments, [*arguments[1:], "--"], strict=True):
        name = word.lstrip("-")
        needs_value = word.startswith("-") and not fields.get(name, True)
        if needs_value and re.match("--?([a-zA-Z]|$)", following):
            raise Refused(f"--{name} has no value: write --{name}=VALUE")


def not_a_flag(word: str, flags: Iterable[str]) -> str:
    """Returns the message for a word that no flag begins, with what may be meant."""
    name, *value = re.sub(r"^-*((no)?config\.)?", "", word).split("=", 1)
    near = difflib.get_close_matches(name, flags, n=1, cutoff=0.75)
    if not near and (field := _nearest_field(name, _fields())):
        near = [f"config.{field}"]
    hint = f"; did you mean --{'='.join([*near, *value])}?" if near else ""
    return f"not a flag: {word}{hint}"


def explain_flags(
    error: Exception, arguments: Sequence[str], flags: Iterable[str]
) -> str:
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
        return _explain_value(*match.groups())
    overridden = [m[1] for a in arguments if (m := re.match(FIELD, a))]
    if isinstance(error, (AttributeError, KeyError)) or "Did you mean" in text:
        for field in overridden if files else ():
            if not any(f"{name}.".startswith(f"{field}.") for name in _fields()):
                return unknown_field(field, _fields())
    if match := re.search(r"Unknown command line flag '(.*?)'", text):
        if overridden and not files:
            field = f"--config.{overridden[0]}"
            return (
                f"{field} needs --config=FILE before it, or --workdir=FOLDER of a run"
            )
        words = [a for a in arguments if re.match(f"--?{re.escape(match[1])}(=|$)", a)]
        return not_a_flag(words[0] if words else match[1], flags)
    return " ".join(lines)


FIELD = r"--?(?:no)?config\.([^=]+)"  # on the command line


def _explain_value(flag: str, value: str, reason: str) -> str:
    field, fields = flag.removeprefix("--config."), _fields()
    if "as a ConfigDict" in reason:
        known = [name for name in fields if name.startswith(f"{field}.")]
        return f"{field} is a group of fields: set one of {', '.join(known)}"
    types = {"literal for int": 1, "to float": 0.5, "Non-boolean": True, "as tuple": ()}
    for words, example in types.items():
        if words in reason:
            return wrong_type(field, value, fields.get(field, example))
    if match := re.search("should be one of <(.*)>", reason):
        menu = match[1].split("|")
        near = difflib.get_close_matches(value, menu, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{flag}={value} is unknown{hint}: choose from {', '.join(menu)}"
    return f"{field}={value}: {reason}"


def _fields() -> dict[str, Any]:
    """Returns all fields of a config, with their defaults."""

    def flatten(group: Any, prefix: str) -> dict[str, Any]:
        flat = {}
        for key, value in group.items():
            name = f"{prefix}{key}"
            is_group = hasattr(value, "items")
            flat |= flatten(value, f"{name}.") if is_group else {name: value}
        return flat

    return flatten(default.get_config(), "")
