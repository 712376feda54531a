"""Pages that need no other file: templates filled in, pictures within."""

import base64
import math
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Fills in a template of this folder, given `values`, the `command` that was
    launched and the `date`."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["picture"] = picture
    return environment.get_template(template).render(
        command=command_line(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )


def command_line() -> str:
    """Returns the command line of this process, as a shell takes it."""
    program, *words = sys.argv
    installed = Path(program).name == "vae-launch"
    return shlex.join([*(["vae-launch"] if installed else ["python", program]), *words])


def not_finite(results: Mapping[str, Any]) -> list[str]:
    """Returns the names of results that are nan or infinite, or a list with such a
    number."""

    def is_finite(value: Any) -> bool:
        if isinstance(value, list):
            return all(map(is_finite, value))
        return not isinstance(value, float) or math.isfinite(value)

    return [name for name, value in results.items() if not is_finite(value)]


def picture(path: Path) -> str:
    """Returns a PNG or a GIF as a data URL."""
    return data_url(path.read_bytes(), path.suffix.removeprefix("."))


def data_url(content: bytes, kind: str) -> str:
    """Returns the content of a picture as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
