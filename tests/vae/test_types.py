import pytest

from vae.types import UserError, one_of


def test_a_name_is_one_of_the_menu() -> None:
    assert one_of("part.name", "mlp", ("mlp", "conv")) == "mlp"
    with pytest.raises(UserError) as error:
        one_of("part.name", "cnov", ("mlp", "conv"))
    assert str(error.value) == (
        "part.name=cnov is unknown (did you mean conv?): choose from mlp, conv"
    )
    with pytest.raises(UserError, match="part.name=7 is unknown: choose from mlp"):
        one_of("part.name", 7, ("mlp",))  # type: ignore[arg-type]
