"""Every field of the configuration is read by what is chosen, or refused."""

import dataclasses
from typing import Any

import pytest

from configs import default
from vae.bind import Menu, check, default_of, parameters_of
from vae.build import operative
from vae.compose import HOLDERS, bind_menus, group_of, with_method
from vae.fields import Parameter
from vae.registry import MENUS
from vae.settings import READERS, check_config, describe_lopsided, describe_narrow
from vae.types import UserError

CONFIG = operative(default.get_config())


def another(parameter: Parameter) -> Any:
    """A value that is good, and not the default."""
    value = default_of(parameter)
    if parameter.field.menu is not None:
        return next((key for key in parameter.field.menu if key != value), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return ("a", "b") if parameter.type == tuple[str, ...] else (3, 5)
    return value / 2 if isinstance(value, float) and value else value + 1


def with_field(config: Any, path: str, field: str, value: Any) -> Any:
    first, _, rest = path.partition(".")
    if not path:
        return {**config, field: value}
    return {**config, first: with_field(config[first], rest, field, value)}


CHOICES = [(path, name) for path, menu in MENUS.items() for name in menu]


@pytest.mark.parametrize(("path", "name"), CHOICES)
def test_every_field_is_read_or_refused(path: str, name: str) -> None:
    menu: Menu = MENUS[path]
    chosen = with_method(CONFIG, path, name)
    fields, read = parameters_of(*menu.values()), parameters_of(menu[name])
    before = bind_menus(chosen)[path]
    for field, parameter in fields.items():
        config = with_field(chosen, path, field, another(parameter))
        if field not in read:
            message = f"{path}.name={name} does not read {path}.{field}="
            with pytest.raises(UserError, match=message.replace("(", ".")):
                check_config(config)
            continue
        if (condition := read[field].field.unless) is not None:
            with pytest.raises(UserError, match=f"nothing reads {path}.{field}"):
                check_config(config)
            other, off = condition
            on = next(v for v in read[other].field.menu or {} if v != off)
            config = with_field(config, path, other, on)
        after = bind_menus(config)[path]
        assert (after.static, after.traced) != (before.static, before.traced)


def test_every_other_field_has_a_reader() -> None:
    """Of each group of the configuration, whoever reads it has its fields."""
    groups, places = [("", CONFIG)], set()
    while groups:
        path, group = groups.pop()
        places.add(path)
        held = parameters_of(
            *READERS.get(path, ()),
            *HOLDERS.get(path, ()),
            *MENUS.get(path, {}).values(),
        )
        for name, value in group.items():
            inner = f"{path}.{name}" if path else name
            if isinstance(value, dict):
                groups.append((inner, value))
            else:
                assert name in held or (name == "name" and path in MENUS), inner
    assert places >= {*MENUS, *READERS}


READ = [
    (path, field)
    for path, readers in READERS.items()
    for field in parameters_of(*readers)
    if field in group_of(CONFIG, path)
]


@pytest.mark.parametrize(("path", "field"), READ)
def test_values_out_of_range_are_refused(path: str, field: str) -> None:
    read = parameters_of(*READERS[path])
    good, bad = another(read[field]), object()
    always = dataclasses.replace(read[field].field, unless=None)
    check(path, {field: good}, {field: read[field]._replace(field=always)})
    with pytest.raises(UserError, match=field):
        check(path, {field: bad}, {field: read[field]})


@pytest.mark.parametrize(
    ("path", "field", "value", "message"),
    [
        ("train", "evaluate_every", 5, "needs validation data"),
        ("optimizer.schedule", "warmup_steps", 10_001, "longer than the run"),
        ("", "seed", 2**32, "below 4294967296"),
        ("objective", "beta", -1.0, "0 or more"),
        ("model", "latent_dim", 0, "1 or more"),
        ("model", "name", "vea", "did you mean vae"),
        ("dataset", "channels", "fist", "did you mean first"),
        ("optimizer", "eps", 1e39, "optimizer.eps=1e.39 must be .* and at most 1e.38"),
        (
            "optimizer",
            "eps",
            1e-40,
            "optimizer.eps=1e-40 .* nothing between 0 and 1e-37",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    path: str, field: str, value: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_config(with_field(CONFIG, path, field, value))


def test_objectives_that_compare_examples_need_two() -> None:
    one = with_field(CONFIG, "dataset", "batch_size", 1)
    check_config(one)
    for name in ("beta_tcvae", "factor_vae", "dip_vae_i", "info_vae", "wae_mmd"):
        with pytest.raises(UserError, match="batch_size to 2 or more"):
            check_config(with_method(one, "objective", name))


def test_lopsided_models_are_noted() -> None:
    assert describe_lopsided(CONFIG["model"]) == []
    wider = with_field(CONFIG, "model.encoder", "widths", [50])
    (note,) = describe_lopsided(wider["model"])
    assert "widths=(50,) in model.encoder and (400,) in model.decoder" in note
    other = with_field(wider, "model.decoder", "name", "conv")
    assert describe_lopsided(other["model"]) == []


@pytest.mark.parametrize("path", MENUS)
def test_methods_that_share_a_field_share_its_default(path: str) -> None:
    """The configuration holds it once."""
    defaults: dict[str, Any] = {}
    for method in MENUS[path].values():
        for name, parameter in parameters_of(method).items():
            default = default_of(parameter)
            assert defaults.setdefault(name, default) == default, name


@pytest.mark.parametrize("path", dict.fromkeys((*MENUS, *READERS)))
def test_the_reference_shows_every_field_at_its_default(path: str) -> None:
    """`configs/default.py` is the union of the signatures."""
    menu, readers = (
        MENUS.get(path, {}),
        (*HOLDERS.get(path, ()), *READERS.get(path, ())),
    )
    fields = parameters_of(*menu.values(), *readers)
    for name, value in group_of(operative(default.get_config()), path).items():
        if name == "name" and menu:
            assert value in menu
            fields.pop(name, None)
        elif name in fields:
            held = tuple(value) if isinstance(value, list) else value
            assert held == default_of(fields.pop(name)), f"{path}.{name}"
        else:
            assert isinstance(value, dict)
    assert not fields or path in ("train", "runtime"), fields


def test_autoregressive_layers_that_see_too_little_are_noted() -> None:
    model = default.get_config().model.to_dict()
    assert describe_narrow(model) == []
    model["latent_dim"], model["posterior"]["name"] = 202, "iaf"
    model["posterior"]["widths"] = (300, 200)
    (note,) = describe_narrow(model)
    assert note == (
        "note: model.posterior.widths=(300, 200): the last of 202 dimensions depend on "
        "the first 200 only; give each layer 201 units or more"
    )
    model["posterior"]["widths"], model["prior"]["name"] = (), "autoregressive_codes"
    model["prior"]["widths"] = (201,)
    assert describe_narrow(model) == []
