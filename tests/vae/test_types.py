import pytest

from vae.types import Request, UserError, one_of


def test_a_name_is_one_of_the_menu() -> None:
    assert one_of("part.name", "mlp", ("mlp", "conv")) == "mlp"
    with pytest.raises(UserError) as error:
        one_of("part.name", "cnov", ("mlp", "conv"))
    assert str(error.value) == (
        "part.name=cnov is unknown (did you mean conv?): choose from mlp, conv"
    )
    with pytest.raises(UserError, match="part.name=7 is unknown: choose from mlp"):
        one_of("part.name", 7, ("mlp",))  # type: ignore[arg-type]


def test_a_request_is_computed_by_its_routine() -> None:
    class Routine:
        @staticmethod
        def alone(*arguments: int) -> tuple[int, ...]:
            return arguments

    assert Request(Routine, (1, 2), (3,), ()).compute() == (1, 2, 3)
