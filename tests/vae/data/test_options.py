import pytest

from configs import default
from vae.data.options import ReadOptions, read_options
from vae.types import UserError


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resize", (0,), r"dataset.resize=\(0,\) must be"),
        ("resize", (1, 2, 3), "must be one side"),
        ("resize", (True,), "must be one side"),
        ("resize", ("a",), "must be one side"),
        ("resize", (10_000_000,), "must be one side"),
        ("resize", (8,), "dataset.resize=.* images:DIR only.*mnist_5k"),
        ("skip_unreadable", True, "images:DIR only"),
        ("channels", "first", "npz:PATH only"),
        ("missing", "observed_only", "npz:PATH and table:PATH only"),
        ("label_column", "y", "table:PATH and h5ad:PATH only"),
        ("column_kinds", ("a:count",), "table:PATH only"),
        ("column_kinds", ("a",), "column_kinds=a must be NAME:KIND, as in age:count"),
        ("column_kinds", ("a:b:counts",), r"a:b=counts .*did you mean count\?.*ignore"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    field: str, value: object, message: str
) -> None:
    config = default.get_config()
    config.dataset[field] = value
    with pytest.raises(UserError, match=message):
        read_options(config)


def test_options_serve_anomalies_too() -> None:
    config = default.get_config()
    config.dataset.resize = (28,)
    config.evaluate.anomalies.source = "images:somewhere"
    assert read_options(config) == ReadOptions(resize=(28,))
    assert read_options(default.get_config()) == ReadOptions()


def test_a_share_that_nothing_reads_is_refused() -> None:
    config = default.get_config()
    config.dataset.update(name="table:a.csv", split_column="part", test_share=0.1)
    with pytest.raises(UserError, match="nothing reads dataset.test_share=0.1 while"):
        read_options(config)


def test_kinds_are_by_name_and_a_name_may_hold_colons() -> None:
    options = ReadOptions(column_kinds=("a:b:count", "c:ignore"))
    assert options.kinds == {"a:b": "count", "c": "ignore"}
