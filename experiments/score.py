"""Scores a user's own images or vectors by the model of a run that is done."""

import hashlib
import os
from pathlib import Path

import jax

from experiments import workdir
from experiments.runs import open_run
from experiments.terminal import say
from experiments.trained import make_trained
from vae.build import Config, from_operative
from vae.data.load import check_unconditional, other_images
from vae.data.options import read_options
from vae.data.sources import load_other
from vae.evaluation import anomaly
from vae.evaluation.anomaly import PRIMARY, score_splits
from vae.evaluation.detection import false_alarm_interval, threshold_of
from vae.types import UserError, noun


def run(
    folder: Path,
    name: str,
    false_alarm_rate: float,
    *,
    config: Config | None = None,
    data: str | None = None,
) -> None:
    """Writes `scores/NAME.csv`: of each example its scores, and if it is an anomaly;
    and `scores/NAME.json`, by which threshold.

    Args:
      folder: of a run that is done.
      name: of the examples, as for `dataset.name`.
      false_alarm_rate: the share of the run's test images that may be taken for
        anomalies; it sets the threshold.
      config: None for the run's own; if given, it may differ in `evaluate.*` only.
      data: where the run's data are, if they have moved; as for `dataset.name`.

    Raises:
      UserError: there are no such examples, the model cannot look at them, the run is
        not done, or the rate is none.
    """
    if jax.process_count() > 1:
        raise UserError("images are scored on one host: leave out --multihost")
    if not 0 <= false_alarm_rate < 1:
        raise UserError(
            f"--false_alarm_rate={false_alarm_rate} must be at least 0 and below 1"
        )
    experiment, program, state, _ = open_run(folder, config=config, data=data)
    own, where = from_operative(experiment.config), f"--score={name}"
    check_unconditional(own, where)
    split, names = load_other(
        name,
        own.runtime.data_dir,
        read_options(own),
        where=where,
        channels=experiment.data.everything.event_shape[-1],
        columns=experiment.data.everything.columns,
    )
    split = other_images(
        own,
        experiment.data.everything,
        experiment.model.likelihood,
        split._replace(labels=None),
        where,
        name=name,
    )
    splits, kind = (experiment.dataset.test, split), noun(split.images.shape[1:])
    say(
        f"scoring {experiment.dataset.test.size} test {kind} of the run, then "
        f"{split.size} of {name}"
    )
    asked = experiment.config["evaluate"]["anomalies"]
    if reason := anomaly.applies(experiment.subject, **asked):
        raise UserError(f"evaluate.anomalies: {reason}")
    trained = make_trained(experiment, program, state)
    numbers = asked["regret_images"], asked["ppca_components"]
    with_others = asked["baselines"]
    normal, scores = score_splits(trained, splits, *numbers, baselines=with_others)
    threshold = threshold_of(normal[PRIMARY], false_alarm_rate)
    is_anomaly = scores[PRIMARY] > threshold
    path = folder / "scores" / f"{slug(name)}.csv"
    path.parent.mkdir(exist_ok=True)
    rows = [
        [image, int(is_anomaly[i]), *(f"{of_all[i]:.6g}" for of_all in scores.values())]
        for i, image in enumerate(names)
    ]
    workdir.write_csv(path, [["image", "is_anomaly", *scores], *rows])
    held_out = experiment.dataset.test.size
    low, high = false_alarm_interval(held_out, false_alarm_rate)
    workdir.write_json(
        path.with_suffix(".json"),
        {
            "score": PRIMARY,
            "threshold": threshold,
            "false_alarm_rate": false_alarm_rate,
            "false_alarm_rate_low": low,
            "false_alarm_rate_high": high,
            "held_out_images": held_out,
        },
    )
    say(
        f"{is_anomaly.sum()} of {len(names)} {kind} are anomalies ({PRIMARY} above "
        f"{threshold:.2f} nats); written to {path}"
    )
    say(
        f"the threshold passes {1 - false_alarm_rate:.3g} of the run's {held_out} test "
        f"{kind}: of new normal {kind}, {low:.1%} to {high:.1%} will be false alarms "
        f"(90% interval; more test {kind} narrow it)"
    )


def slug(name: str) -> str:
    """Returns a file's name for a data set: that of the user's file or folder, told
    from others of that name by a hash of the path."""
    kind, _, path = name.partition(":")
    if kind not in ("npz", "images", "table", "h5ad"):
        return name.replace("/", "_").replace(":", "_")
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"{Path(path).stem}_{digest[:6]}"
