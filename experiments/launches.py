"""The experiments that can be launched, and the flags that each of them reads.

An experiment is a dataclass, and its fields are its flags. The annotation gives the
type and the help, which begins with what stands after `--FLAG=`. A flag without a
default must be given. Nothing that takes long is imported before `launch`, so that a
wrong flag is refused at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal

from experiments import environment
from experiments.flags import Chosen, Config, Data, Launch, RunFolder, Workdir
from experiments.hints import Refused


@dataclass(frozen=True, kw_only=True)
class Train(Launch):
    """Trains a run to its end, from wherever it was left, and evaluates it."""

    can_stop = True
    config: Config = Chosen()
    workdir: Workdir = None
    data: Data = None

    def launch(self) -> None:
        from experiments import train

        train.run(self.prepare(), self.folder, data=self.data)


@dataclass(frozen=True, kw_only=True)
class OfRun(Launch):
    """Works on a run that is trained to its end."""

    config: Config = Chosen()
    workdir: RunFolder
    data: Data = None


class Evaluate(OfRun):
    """Evaluates a run again."""

    can_stop = True

    def launch(self) -> None:
        from experiments import evaluate

        evaluate.run(self.prepare(), self.folder, data=self.data)


class Latents(OfRun):
    """Shows what the latent space of a run is good for."""

    can_stop = True

    def launch(self) -> None:
        from experiments.latents import run as latents

        latents.run(self.folder, config=self.prepare(), data=self.data)


@dataclass(frozen=True, kw_only=True)
class Anomaly(OfRun):
    """Scores images by a run."""

    score: Annotated[
        str, "NAME of the images, as for dataset.name: as in --score=npz:images.npz"
    ]
    false_alarm_rate: Annotated[
        float, "SHARE of the run's test images that may be taken for anomalies (0.05)."
    ] = 0.05

    def launch(self) -> None:
        from experiments import score

        config, rate = self.prepare(), self.false_alarm_rate
        score.run(self.folder, self.score, rate, config=config, data=self.data)


@dataclass(frozen=True, kw_only=True)
class Sample(Launch):
    """Draws examples from the model of a run or an export: images, vectors or rows."""

    workdir: RunFolder
    output: Annotated[
        Path | None,
        "FILE.npz, or of a table .csv, .tsv or .parquet (default: WORKDIR/samples.npz, "
        "of a table .csv).",
    ] = None
    count: Annotated[int, "NUMBER of examples (1000)."] = 1000
    label: Annotated[
        str,
        "LABEL of the examples of a conditional model (default: as frequent as in the "
        "training data).",
    ] = ""
    temperature: Annotated[
        float, "NUMBER that multiplies the prior's scale (1); in Python, one per group."
    ] = 1.0
    mean: Annotated[bool, "Write the means of p(x | z), not draws from it."] = False
    sample_seed: Annotated[int, "NUMBER of the random draws (0)."] = 0

    def launch(self) -> None:
        from experiments import sample

        environment.start_devices()
        sample.run(
            self.workdir,
            self.output,
            count=self.count,
            label=self.label,
            temperature=self.temperature,
            mean=self.mean,
            seed=self.sample_seed,
        )


@dataclass(frozen=True, kw_only=True)
class Encode(Launch):
    """Writes the codes of images: means, scales, and the ELBO."""

    workdir: RunFolder
    data: Annotated[
        str, "NAME of the examples, as in npz:images.npz or table:rows.csv."
    ]
    output: Annotated[
        Path | None,
        "FILE.npz, FILE.csv or FILE.parquet (default: WORKDIR/codes/NAME.npz).",
    ] = None

    def launch(self) -> None:
        from experiments import encode

        environment.start_devices()
        encode.run(self.workdir, self.data, self.output)


@dataclass(frozen=True, kw_only=True)
class Impute(Launch):
    """Fills in the missing values of rows, by a model of a run or an export."""

    workdir: RunFolder
    data: Annotated[str, "NAME of the rows, as in npz:rows.npz or table:rows.csv."]
    output: Annotated[
        Path | None, "FILE to write (default: WORKDIR/imputed/NAME, as the input is)."
    ] = None
    draws: Annotated[int, "NUMBER of multiple imputations, M (5)."] = 5
    samples: Annotated[int, "NUMBER of importance samples, K (1000)."] = 1000

    def launch(self) -> None:
        from experiments import impute

        environment.start_devices()
        count = {"num_samples": self.samples, "num_draws": self.draws}
        impute.run(self.workdir, self.data, self.output, **count)


@dataclass(frozen=True, kw_only=True)
class Export(Launch):
    """Writes a run's weights, config and model card, without its training state."""

    workdir: RunFolder
    output: Annotated[Path | None, "FOLDER to write (default: WORKDIR/export)."] = None
    license: Annotated[
        str, "NAME of the weights' licence, for the model card (default: unknown)."
    ] = "unknown"

    def launch(self) -> None:
        from experiments import export

        environment.start_devices()
        export.run(self.workdir, self.output, license=self.license)


@dataclass(frozen=True, kw_only=True)
class OfMembers(Launch):
    """Trains many runs."""

    can_stop = True
    config: Config
    workdir: Workdir = None
    executor: Annotated[
        Literal["map", "vmap", "serial", "ray"] | None,
        "How a sweep's members are done (default: map on CPU, vmap on accelerators).",
    ] = None
    ray_address: Annotated[
        str, "ADDRESS of a Ray cluster, or 'auto' (default: this machine)."
    ] = ""

    def prepare(self, *, quiet: bool = False) -> Any:
        from experiments import sweep

        sweep.use_cores()
        return super().prepare(quiet=quiet)


@dataclass(frozen=True, kw_only=True)
class Sweep(OfMembers):
    """Trains and evaluates the members of a sweep."""

    sweep: Annotated[
        tuple[str, ...],
        "FIELD=V1,V2,... or the name of a generator sweep_NAME beside the config; may "
        "be repeated, for the product. Without it: the config's sweep().",
    ] = ()
    print_only: Annotated[bool, "Only list a sweep's cells."] = False
    yes: Annotated[bool, "Allow a sweep of more than 10,000 cells."] = False

    def launch(self) -> None:
        from experiments import sweep
        from experiments.cells import plan_cells

        config = self.prepare(quiet=self.print_only)
        cells = plan_cells(config, self.sweep, self._generator, allow_many=self.yes)
        if self.print_only:
            sweep.print_cells(cells, executor=self.executor)
        else:
            how = {"executor": self.executor, "address": self.ray_address}
            sweep.run(cells, self.folder, **how)

    def _generator(self, name: str) -> Callable[[], Any]:
        if "." in (field := name.removeprefix("sweep_")):
            raise Refused(f"--sweep={field} has no values: --sweep={field}=V1,V2,...")
        generate = self.config.beside(name)
        return lambda: self.config.attempt(name, lambda: list(generate()))


class Reproduce(OfMembers):
    """Runs the rows of a table, each with several seeds."""

    def launch(self) -> None:
        from experiments import reproduce

        chosen, config = self.config, self.prepare()
        plan = chosen.beside("table")
        mode = (chosen.mode,) if signature(plan).parameters else ()
        said = chosen.beside("__doc__") or chosen.file
        get_config = chosen.beside("get_config")
        parameters = signature(get_config).parameters.values()
        is_mode_needed = any(each.default is each.empty for each in parameters)
        reproduce.run(
            config,
            lambda: chosen.attempt("table", lambda: plan(*mode)),
            self.folder,
            title=" ".join(said.split("\n\n")[0].split()),
            own=None if is_mode_needed else get_config(),
            executor=self.executor,
            address=self.ray_address,
        )


@dataclass(frozen=True, kw_only=True)
class Benchmark(Launch):
    """Times the same models here and in other libraries."""

    config: Config
    workdir: Workdir = None

    def launch(self) -> None:
        from benchmarks import run as benchmark

        workloads = self.config.beside("workloads")
        benchmark.run(self.prepare(quiet=True), workloads, self.folder)


@dataclass(frozen=True, kw_only=True)
class Collect(Launch):
    """Keeps a table, and writes all that are kept into one file."""

    workdir: Workdir = None

    def launch(self) -> None:
        from experiments import collect

        collect.run(self.workdir)


TRAINING = Train, Sweep, Reproduce, Benchmark
USING = Evaluate, Latents, Anomaly, Sample, Encode, Impute, Export, Collect
EXPERIMENTS = {kind.__name__.lower(): kind for kind in (*TRAINING, *USING)}
