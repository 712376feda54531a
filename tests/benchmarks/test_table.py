from benchmarks import (
    table,
)


def test_the_table_tells_ratio_and_share() -> None:
    results = {
        "about": {
            "packages": {"jax": "1.2"},
            "command": ["launch.py"],
            "git_commit": "abc",
            "time": "2026-01-02T03:04",
            "processor": "P",
            "cores": 2,
            "python": "3.11",
        },
        "peak_gflops": {"jax": 90.0, "torch": 100.0},
        "workloads": [
            {
                "name": "W",
                "unit": "steps/s",
                "gflop": 0.5,
                "rates": {"ours": [20.0, 40.0, 60.0], "other": [10.0, 10.0, 40.0]},
            }
        ],
        "convolutions": [
            {"layer": "L", "ms": {"a": [1.0, 3.0, 2.0]}},
            {"layer": "M", "ms": {"b": [200.0]}},
        ],
    }
    text = table.as_markdown(results)
    assert "| ours | 40.0 [20.0, 60.0] | 1.00 | 20 | 20% |" in text
    assert "| other | 10.0 [10.0, 40.0] | 2.00 | 5 | 5% |" in text
    assert "| L | 2.00 [1.00, 3.00] |  |" in text
    assert "| M |  | 200 [200, 200] |" in text
