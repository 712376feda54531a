from collections.abc import Callable
from typing import Any

import pytest

from vae.nn.layer_strings import Layer, parse_fall, parse_rise
from vae.types import Unsupported


def test_layers_are_read_as_vdvae_writes_them() -> None:
    rise = parse_rise("4x2, 4d4,1x1")
    assert rise == (Layer(4), Layer(4), Layer(4, 4), Layer(1))
    fall = parse_fall("1,4m1,4x2,8m4,8")
    assert fall == (
        *(Layer(1), Layer(4, 1), Layer(4), Layer(4), Layer(8, 4), Layer(8)),
    )


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_rise, "32y3", "cannot read '32y3' .*write 8x2 for two .* 8d2 for one"),
        (parse_rise, "", "cannot read ''"),
        (parse_rise, "4m2", "cannot read '4m2'"),
        (parse_rise, "4x0", "cannot read '4x0'"),
        (parse_rise, "4x1,2x1", "has a block at 2x2 in .*, where the image is 4x4"),
        (parse_rise, "6d4", "at 6x6 to be divided by 4"),
        (parse_fall, "4d2", "cannot read '4d2' .* 8m4 for one that adds what is at 4"),
        (parse_fall, "4x1", "begins with a block at 1x1"),
        (parse_fall, "1x1,4x2", "a block at 4x4 in .* after one at 1x1: write 4m1"),
        (parse_fall, "1x1,4m2", "4x4 that adds 2x2 in .*, after .*: write 4m1"),
        (parse_fall, "1x1,2m1,3m2", "3x3 that adds 2x2 in .*, after .*: write 2x1"),
        # Codes of the block at 2x2 would not reach the image.
        (parse_fall, "1x1,2m1,4m1", "4x4 that adds 1x1 in .*, after .*: write 4m2"),
        (parse_fall, "1x1,4m1,2m1", "2x2 that adds 1x1 in .*, after .*: write 4x1"),
        (parse_fall, "1x1,4m1,1x1", "a block at 1x1 in .*, after .*: write 4x1"),
        (parse_fall, "1x1,4m1,4m4", "4x4 that adds 4x4 in .*, after .*: write 4x1"),
    ],
)
def test_bad_layers_are_refused_in_one_line(
    parse: Callable[[str], Any], text: str, message: str
) -> None:
    with pytest.raises(Unsupported, match=message) as error:
        parse(text)
    assert error.value.part == ("encoder" if parse is parse_rise else "decoder")
    assert "\n" not in str(error.value)
