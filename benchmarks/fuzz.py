"""Hostile inputs for every reader and parser: each must be read, or end in one line of error."""

from __future__ import annotations

import contextlib
import io
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        import hypothesis
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is missing; pip install -c constraints.txt -e '.[dev]'", file=sys.stderr)
        sys.exit(2)

import click
import hypothesis
import optuna
from rich.table import Table

from benchmarks import fuzzed_images as images
from benchmarks import fuzzed_records as records
from benchmarks import fuzzed_texts as texts
from benchmarks import fuzzed_weights as weights
from benchmarks.mutator import Mutator, inputs
from benchmarks.scratch_files import InvalidSeedError
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.storage.examples_table import EXAMPLES
from gckd.storage.run_tables import CURVES, QUERIES, RUNS

_STRATEGY_SHARE = 0.1  # of a reader's inputs that come from its hypothesis strategy; the others are mutated seeds
_MEMORY = 4 * 2**30  # bytes that the readers may allocate
_SHOWN = 300  # characters of an input


@dataclass(frozen=True)
class FuzzedReader:
    """A reader with valid inputs.

    seeds: made in an empty folder. read: reads an input in the same folder, and raises InputError if it is refused.
    share: inputs, relative to other readers; fewer where one takes long.
    """

    name: str
    seeds: Callable[[Path], Sequence[bytes]]
    read: Callable[[bytes, Path], None]
    share: float = 1.0


def _fixed(*seeds: bytes) -> Callable[[Path], Sequence[bytes]]:
    return lambda folder: seeds


READERS = [
    FuzzedReader("config", lambda _: texts.configs(), texts.config),
    FuzzedReader("--set", _fixed(*texts.texts(*texts.EDITS)), texts.edits),
    FuzzedReader("spec", _fixed(*texts.SPECS), texts.spec),
    FuzzedReader("rows", _fixed(*texts.texts(*texts.ROWS)), texts.rows),
    FuzzedReader("space", lambda _: texts.files("tune/spaces/*.yaml") + texts.SPACES, texts.space),
    FuzzedReader("label", _fixed(*texts.texts("k=5,delta=0.1", "-gmp", "full", "a (2)")), texts.label),
    FuzzedReader("dataset", _fixed(*texts.texts("icfg-pedes:/no/such/folder", "~/b", "rstpreid:..")), texts.dataset),
    *(
        FuzzedReader(f"{name} annotations", _fixed(*texts.annotation_seeds(path)), texts.annotation_file(name, file))
        for name, file, path in (
            ("cuhk-pedes", "reid_raw.json", "file_path"),
            ("icfg-pedes", "ICFG-PEDES.json", "file_path"),
            ("rstpreid", "data_captions.json", "img_path"),
        )
    ),
    FuzzedReader("captions.csv", _fixed(*texts.CAPTION_TABLES), texts.annotation_file("folder", "captions.csv")),
    FuzzedReader("captions.jsonl", _fixed(*texts.CAPTION_LINES), texts.annotation_file("folder", "captions.jsonl")),
    FuzzedReader("caption", _fixed(*texts.texts("A man in a red coat, with a bag.", "<person> & co")), texts.captions),
    FuzzedReader("image", lambda _: images.images(), images.image),
    FuzzedReader("weights", lambda _: weights.checkpoints(), weights.checkpoint),
    FuzzedReader("weights, values", lambda _: weights.checkpoint_values(), weights.checkpoint_of_values),
    FuzzedReader("checkpoint.pt", lambda _: weights.run_checkpoints(), weights.run_checkpoint),
    FuzzedReader("tokenizer.json", lambda _: weights.tokenizers(), weights.tokenizer("tokenizer.json")),
    FuzzedReader("vocab.txt", _fixed(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n"), weights.tokenizer("vocab.txt")),
    FuzzedReader(
        "tokenizer_config.json", _fixed(b'{"do_lower_case": false}'), weights.tokenizer("tokenizer_config.json")
    ),
    *(
        reader
        for name in ("images.arrow", "captions.arrow", "labels.arrow", "../meta.json")
        for reader in (
            FuzzedReader(f"store {name}", images.store_seeds(name), images.store(name)),
            FuzzedReader(f"remote store {name}", images.store_seeds(name), images.remote_store(name)),
        )
    ),
    FuzzedReader("index of a folder", images.indexes, images.index),
    FuzzedReader("street.json", _fixed(b'{"ids": 24, "seed": 1, "counts": {}}'), records.street),
    *(
        reader
        for name, schema, read in (
            ("runs", RUNS, records.runs),
            ("curves", CURVES, records.curves),
            ("queries", QUERIES, records.queries),
            ("examples", EXAMPLES, records.examples),
        )
        for reader in (
            FuzzedReader(f"{name}.parquet", _fixed(*records.table_bytes(schema)), read),
            FuzzedReader(
                f"{name}.parquet, values",
                _fixed(*records.table_seeds(schema)),
                records.of_values(read, schema),
            ),
        )
    ),
    FuzzedReader("launches.json", _fixed(b'[{"command": "python a.py", "code": "abc", "cores": 2}]'), texts.launches),
    FuzzedReader("question.json", _fixed(*texts.texts(*texts.QUESTIONS)), texts.question),
    FuzzedReader("graph.npz", lambda _: records.graph_samples(), records.graph_sample),
    FuzzedReader("journal", lambda _: records.journals(), records.journal),
    FuzzedReader(
        "cluster file", lambda _: texts.files("clusters/*.yaml") + texts.files("cluster.yaml"), texts.cluster_file
    ),
    FuzzedReader("folder or URI", _fixed(*texts.texts("s3://bucket/a", "~/a", "runs/a", "file:///a")), texts.location),
    FuzzedReader("--storage", _fixed(*texts.texts(*texts.STORAGES)), texts.storage),
    FuzzedReader("OMP_NUM_THREADS", _fixed(*texts.texts("4", "4,2", " 8 ")), texts.threads),
]


@dataclass
class Outcome:
    """Counts of one reader, and the smallest input of each cause of a traceback."""

    inputs: int = 0
    tracebacks: int = 0
    slowest: float = 0.0  # seconds
    causes: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)  # cause -> count, input, traceback

    def add(self, content: bytes, seconds: float, error: BaseException | None) -> None:
        """Count an input; `error`: None if it is read or refused as it must be."""
        self.inputs += 1
        self.slowest = max(self.slowest, seconds)
        if error is not None:
            self.tracebacks += 1
            cause = cause_of(error)
            count, smallest, text = self.causes.get(cause, (0, content, ""))
            if not text or len(content) < len(smallest):
                smallest, text = content, "".join(traceback.format_exception(error, limit=-6))
            self.causes[cause] = (count + 1, smallest, text)


def problem_of(reader: FuzzedReader, content: bytes, folder: Path) -> BaseException | None:
    """The error of a reader that is not an InputError of one line; None if there is none."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            reader.read(content, folder)
    except InputError as error:
        try:
            for line in error.args:
                texts.check_line(line)
        except AssertionError as problem:
            return problem.with_traceback(error.__traceback__)
    except InvalidSeedError:
        pass
    except (Exception, SystemExit) as error:
        return error
    return None


def cause_of(error: BaseException) -> str:
    """Type of an error, and the last place in gckd that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if f"{texts.ROOT}/gckd/" in frame.filename] or frames
    place = inside[-1]
    file = place.filename.removeprefix(f"{texts.ROOT}/")
    return f"{type(error).__name__} in {file}:{place.lineno} ({place.name})"


def fuzz(reader: FuzzedReader, number: int, seed: int) -> Outcome:
    """Try `number` inputs of a reader."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = reader.seeds(folder)
        for content in seeds:
            if error := problem_of(reader, content, folder):
                raise AssertionError(f"{reader.name}: a valid input is not read") from error

        def attempt(content: bytes) -> None:
            begun = time.process_time()
            error = problem_of(reader, content, folder)
            outcome.add(content, time.process_time() - begun, error)

        drawn = round(_STRATEGY_SHARE * number)
        for content in _drawn(seeds, drawn, seed):
            attempt(content)
        mutator = Mutator(seed)
        while outcome.inputs < number:
            attempt(mutator.mutate(seeds))
    return outcome


def _drawn(seeds: Sequence[bytes], number: int, seed: int) -> list[bytes]:
    """Inputs from the hypothesis strategy of a reader."""
    drawn: list[bytes] = []
    if not number:
        return drawn
    phases = (hypothesis.Phase.generate,)
    settings = hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    @hypothesis.seed(seed)
    @settings
    @hypothesis.given(inputs(seeds))
    def draw(content: bytes) -> None:
        drawn.append(content)

    draw()
    return drawn


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let an allocation of several GiB fail. Does nothing on systems without such a limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    try:
        if statm.exists():
            used = int(statm.read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@click.command()
@click.option(
    "--inputs", "number", default=100_000, show_default=True, type=click.IntRange(min=1), help="Inputs in all."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the inputs.")
@click.option("--reader", "names", multiple=True, help="Try only this reader; may be repeated.")
def main(number: int, seed: int, names: tuple[str, ...]) -> None:
    """Try hostile inputs with every reader of gckd, and count the tracebacks.

    Inputs are valid ones with changed bytes, tokens or structure, and such of hypothesis strategies. An input passes if
    it is read, or refused by an InputError whose lines are of bounded length. All others are tracebacks; their causes
    are printed with the smallest input of each.

    \b
    python benchmarks/fuzz.py
    python benchmarks/fuzz.py --inputs 2000 --reader config --reader image

    Exit status: 0 without tracebacks, else 1.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    readers = [reader for reader in READERS if not names or reader.name in names]
    if not readers:
        raise click.ClickException(f"unknown reader; choose from {', '.join(reader.name for reader in READERS)}")
    table = Table("reader", "inputs", "tracebacks", "causes", "seconds", "slowest input, ms")
    begun, outcomes = time.perf_counter(), list[Outcome]()
    for place, reader in enumerate(readers):
        start = time.process_time()
        with _bounded_memory(), mock.patch("os.fsync"):  # no scratch file needs to survive a power failure
            outcome = fuzz(reader, number // len(readers) + (place < number % len(readers)), seed)
        seconds = time.process_time() - start
        outcomes.append(outcome)
        counts = (outcome.inputs, outcome.tracebacks, len(outcome.causes))
        table.add_row(reader.name, *map(str, counts), f"{seconds:.1f}", f"{1000 * outcome.slowest:.0f}")
        for cause, (count, content, text) in outcome.causes.items():
            print(f"{reader.name}: {count} x {cause}\n  input {content[:_SHOWN]!r}\n{text}", flush=True)
    tried, tracebacks = sum(o.inputs for o in outcomes), sum(o.tracebacks for o in outcomes)
    table.add_section()
    causes = sum(len(o.causes) for o in outcomes)
    table.add_row("all", str(tried), str(tracebacks), str(causes), f"{time.perf_counter() - begun:.1f}", "")
    wide_console().print(table)
    print(f"{tried:,} inputs, {tracebacks:,} tracebacks")
    sys.exit(1 if tracebacks else 0)


if __name__ == "__main__":
    main()
