"""Street benchmark: real formats, bytes that depend on the arguments alone, equal domains at shift 0."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gckd.data.street import contact_sheet, make_street
from gckd.data.street.camera import cameras
from gckd.data.street.caption import ANNOTATORS, describe
from gckd.data.street.dialect import WORDS
from gckd.data.street.domains import DOMAINS
from gckd.data.street.drawing import drawing_jobs
from gckd.data.street.population import frequencies, population
from gckd.data.street.process_pool import draw_all
from gckd.data.street.random_streams import keyed
from gckd.errors import InputError

IDS = 8
ALL = tuple(DOMAINS.values())


def digest(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("street") / "one"
    make_street(root, ids=IDS, workers=1)
    return root


def entries(root: Path, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((root / name / DOMAINS[name].json_name).read_text())
    return rows


def test_two_processes_write_the_same_bytes(street: Path, tmp_path: Path) -> None:
    make_street(tmp_path / "two", ids=IDS, workers=2)
    assert digest(tmp_path / "two") == digest(street)


def test_a_script_needs_no_main_guard(street: Path, tmp_path: Path) -> None:
    """A plain script is neither run again by the processes that draw, nor does the call print anything."""
    script = tmp_path / "script.py"
    script.write_text(
        "import gckd.data.street\n"
        "print('start')\n"
        f"street = gckd.data.street.make_street({str(tmp_path / 'two')!r}, ids={IDS}, workers=2)\n"
        "print(street.counts['RSTPReid']['test'].images)\n"
    )
    (tmp_path / "random.py").write_text("raise RuntimeError('a file beside the script is imported')")
    process = subprocess.run(
        [sys.executable, "-P", str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout, process.stderr, process.returncode) == ("start\n40\n", "", 0)
    assert digest(tmp_path / "two") == digest(street)


def test_a_process_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="ended with exit status 1"):
        make_street(tmp_path / "dead", ids=IDS, workers=2)
    assert not list(tmp_path.iterdir())


def test_an_error_in_a_process_is_raised_here(tmp_path: Path) -> None:
    (job, *_) = drawing_jobs(tmp_path / "file", IDS, 0.0, 0, ["RSTPReid"])
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(NotADirectoryError):
        list(draw_all([job, job], 2))


def test_a_subset_of_domains_does_not_change_their_bytes(street: Path, tmp_path: Path) -> None:
    make_street(tmp_path / "sub", ids=IDS, workers=1, domains=["RSTPReid"])
    assert digest(tmp_path / "sub" / "RSTPReid") == digest(street / "RSTPReid")
    assert not (tmp_path / "sub" / "ICFG-PEDES").exists()


def test_another_seed_draws_other_images(street: Path, tmp_path: Path) -> None:
    make_street(tmp_path / "other", ids=IDS, workers=1, seed=2, domains=["CUHK-PEDES"])
    ours, others = set(digest(street / "CUHK-PEDES").values()), set(digest(tmp_path / "other" / "CUHK-PEDES").values())
    assert not ours & others


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("CUHK-PEDES", {"id", "file_path", "captions", "split", "processed_tokens"}),
        ("ICFG-PEDES", {"id", "file_path", "captions", "split", "processed_tokens"}),
        ("RSTPReid", {"id", "img_path", "captions", "split"}),
    ],
)
def test_entries_have_the_real_fields(street: Path, name: str, fields: set[str]) -> None:
    rows = entries(street, name)
    for row in rows:
        captions = row["captions"]
        assert set(row) == fields
        assert isinstance(row["id"], int)
        assert isinstance(captions, list)
        assert len(captions) == DOMAINS[name].captions
        assert all(isinstance(caption, str) and caption.endswith(".") for caption in captions)
    assert min(int(str(row["id"])) for row in rows) == DOMAINS[name].first_id
    with Image.open(street / name / "imgs" / str(rows[0][DOMAINS[name].path_field])) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 128))
    assert len({str(row[DOMAINS[name].path_field]) for row in rows}) == len(list((street / name).rglob("*.jpg")))


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("CUHK-PEDES", {"train": 8, "val": 4, "test": 8}),
        ("ICFG-PEDES", {"train": 12, "test": 8}),
        ("RSTPReid", {"train": 3, "val": 4, "test": 8}),
    ],
)
def test_counts_per_split(street: Path, name: str, ids: dict[str, int]) -> None:
    counts = make_street(street, ids=IDS).counts[name]
    assert {split: count.identities for split, count in counts.items()} == ids
    rows = entries(street, name)
    for split, count in counts.items():
        here = [row for row in rows if row["split"] == split]
        assert len({row["id"] for row in here}) == count.identities
        assert len(here) == count.images == count.identities * DOMAINS[name].images
        assert count.captions == count.images * DOMAINS[name].captions
    in_splits = [{row["id"] for row in rows if row["split"] == split} for split in ids]
    assert sum(map(len, in_splits)) == len(set.union(*in_splits))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_no_two_persons_are_alike(shift: float) -> None:
    people = [person for domain in population(3, shift, 400).values() for person in domain]
    assert len(set(people)) == len(people) == 1200


def test_at_shift_0_the_domains_are_equal() -> None:
    first, *others = ALL
    person = population(0, 0.0, 1)[first.name][0]
    for other in others:
        assert cameras(first, 0.0) == cameras(other, 0.0)
        assert frequencies(first, 0.0) == frequencies(other, 0.0)
        for annotator in range(ANNOTATORS):
            captions = [describe(person, "side", domain, 0.0, annotator, keyed(annotator)) for domain in (first, other)]
            assert captions[0] == captions[1]


def test_at_shift_1_the_domains_differ() -> None:
    assert len({cameras(domain, 1.0) for domain in ALL}) == 3
    assert frequencies(ALL[0], 1.0) != frequencies(ALL[1], 1.0) != frequencies(ALL[2], 1.0)


def test_no_domain_uses_the_words_of_another() -> None:
    for thing, columns in WORDS.items():
        words = [word for column in columns for word in column]
        assert len(set(words)) == len(words), thing


def test_a_second_call_draws_nothing(street: Path) -> None:
    before = digest(street)
    make_street(street, ids=IDS)
    assert digest(street) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ids": 7}, "ids: 7 is outside its limit: >= 8"),
        ({"shift": 1.5}, "shift: 1.5 is outside its limit: >= 0 and <= 1"),
        ({"shift": float("nan")}, "shift: nan is outside"),
        ({"seed": -1}, "seed: -1 is outside"),
        ({"workers": 0}, "workers: 0 is outside"),
        ({"domains": ["Market"]}, "domains: unknown dataset 'Market'"),
        ({"domains": []}, "domains: "),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        make_street(tmp_path / "bad", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_another_street_is_not_overwritten(street: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a street with shift = 0\.25, not 0\.7"):
        make_street(street, ids=IDS, shift=0.7)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="other files than a street"):
        make_street(tmp_path, ids=IDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_street_leaves_nothing(tmp_path: Path, workers: int) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_street(tmp_path / "half", ids=24, workers=workers, progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make_street(
        tmp_path / "s",
        ids=IDS,
        workers=1,
        domains=["CUHK-PEDES"],
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (60, 60)


def test_contact_sheet(street: Path, tmp_path: Path) -> None:
    contact_sheet(street, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.height > 1000
