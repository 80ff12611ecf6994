"""The library: the lines of a notebook, in this process and as a script without a `__main__` guard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import gckd
from gckd.data import dataset_pair
from gckd.progress import Progress
from gckd.runs import local
from tests.training.micro import Interruption

ROOT = Path(__file__).resolve().parents[1]
MICRO: dict[str, Any] = {
    "pretrain.steps": 2,
    "pretrain.batch": 4,
    "pretrain.evaluations": 1,
    "adapt.steps": 4,
    "adapt.evaluations": 2,
    "adapt.batch": 4,
    "graph.memory.capacity": 8,
    "graph.propagate.k": 3,
    "data.height": 16,
    "data.width": 8,
    "tokenizer.vocab_size": 64,
    "backbone.vision.width": 16,
    "backbone.vision.depth": 1,
    "backbone.text.width": 16,
    "backbone.text.depth": 1,
    "backbone.embed_dim": 8,
}
SCRIPT = """
import gckd
from pathlib import Path

street = gckd.make_street("street", ids=8, workers=2, domains=["ICFG-PEDES", "RSTPReid"])
data = {{"data.source": "street/ICFG-PEDES", "data.target": "street/RSTPReid"}}
config = gckd.apply(gckd.preset("tiny"), data | {micro})
result = gckd.train(config, out="runs/demo", cache="cache")
assert 0 <= result.metrics["rank_1"] <= 100
images = sorted(Path("street/RSTPReid/imgs").glob("*.jpg"))
gallery = result.model.embed_images(images)
matches = result.model.search("a woman in a red coat", gallery, top=3)
best = images[matches[0].row]
assert len(matches) == 3 and best.exists()
"""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """One thread is fastest for small tensors."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gckd.make_street(
        tmp_path_factory.mktemp("library") / "street", ids=8, workers=1, domains=["ICFG-PEDES", "RSTPReid"]
    ).root


@pytest.fixture(scope="module")
def config(street: Path) -> gckd.Config:
    data = {"data.source": street / "ICFG-PEDES", "data.target": street / "RSTPReid"}
    return gckd.apply(gckd.preset("tiny"), data | MICRO)


@pytest.fixture(scope="module")
def cache(street: Path) -> str:
    return str(street.parent / "cache")


@pytest.fixture(scope="module")
def result(config: gckd.Config, cache: str, street: Path) -> gckd.TrainingResult:
    return gckd.train(config, out=str(street.parent / "out"), cache=cache)


@pytest.fixture(scope="module")
def images(street: Path) -> list[Path]:
    return sorted((street / "RSTPReid" / "imgs").glob("*.jpg"))[:10]


def test_a_script_without_a_guard_trains_and_searches_in_silence(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(micro=MICRO))
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_imports_no_torch_and_lists_the_public_names() -> None:
    code = "import sys, gckd; print('torch' in sys.modules, set(gckd.__all__) <= set(dir(gckd)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_every_public_name_is_documented() -> None:
    for name in gckd.__all__:
        assert getattr(gckd, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'trian'; its public names are Config"):
        _ = gckd.trian  # type: ignore[attr-defined]


def test_metrics_are_those_of_evaluating_the_model_and_its_checkpoint(
    result: gckd.TrainingResult, cache: str, street: Path
) -> None:
    assert set(result.metrics) == {"rank_1", "rank_5", "rank_10", "map", "minp"}
    assert gckd.evaluate(result.model).metrics == pytest.approx(result.metrics)
    for location in (result.checkpoint, str(Path(result.checkpoint).parent), street.parent / "out"):
        assert gckd.evaluate(location, cache=cache).metrics == pytest.approx(result.metrics)


def test_curves_cover_both_stages(result: gckd.TrainingResult) -> None:
    steps = {
        stage: max(row["step"] for row in result.curves if row["stage"] == stage) for stage in ("pretrain", "adapt")
    }
    assert steps == {"pretrain": 2, "adapt": 4}


def test_embeddings_are_unit_vectors_and_batches_do_not_matter(result: gckd.TrainingResult, images: list[Path]) -> None:
    model = result.model
    texts = model.embed_texts(["a man in a blue coat", "a woman with a bag"])
    together = model.embed_images(images)
    assert together.shape == (len(images), texts.shape[1])
    torch.testing.assert_close(torch.cat((texts, together)).norm(dim=1), torch.ones(2 + len(images)))
    for row, path in enumerate(images[:3]):
        torch.testing.assert_close(model.embed_images(str(path))[0], together[row], rtol=1e-4, atol=1e-5)
    with Image.open(images[0]) as picture:
        torch.testing.assert_close(model.embed_images(picture)[0], together[0], rtol=1e-4, atol=1e-5)


def test_embed_split_is_embed_images_of_its_files(result: gckd.TrainingResult, tmp_path: Path) -> None:
    gallery = result.model.embed_split("test")
    paths = []
    for row in range(len(gallery.files)):
        paths.append(tmp_path / f"{row}.jpg")
        paths[-1].write_bytes(gallery.files.encoded(row))
    torch.testing.assert_close(gallery.embeddings, result.model.embed_images(paths), rtol=1e-4, atol=1e-5)


def test_search_returns_the_most_similar_images_in_order(result: gckd.TrainingResult, images: list[Path]) -> None:
    model, text = result.model, "a person in a green shirt"
    gallery = model.embed_images(images)
    cosines = [float(row @ model.embed_texts(text)[0]) for row in gallery]
    expected = sorted(range(len(images)), key=lambda row: -cosines[row])[:4]
    matches = model.search(text, gallery, top=4)
    assert [match.row for match in matches] == expected
    assert [match.cosine for match in matches] == pytest.approx([cosines[row] for row in expected], abs=1e-6)
    assert [match.row for match in model.search(text, images, top=4)] == expected
    assert len(model.search(text, gallery, top=100)) == len(images)


def test_unusable_inputs_are_named(result: gckd.TrainingResult, tmp_path: Path, cache: str) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(gckd.InputError, match=r"broken\.jpg: cannot be read as an image"):
        result.model.embed_images([tmp_path / "broken.jpg"])
    with pytest.raises(gckd.InputError, match=r"texts\[1\]: the sentence is empty"):
        result.model.embed_texts(["a man", " "])
    with pytest.raises(gckd.InputError, match="expected one checkpoint.pt; found none"):
        gckd.load(tmp_path, cache=cache)


def test_a_finished_training_returns_at_once(
    result: gckd.TrainingResult, config: gckd.Config, cache: str, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gckd.api.train_run", lambda *args, **kwargs: pytest.fail("trained again"))
    again = gckd.train(config, out=street.parent / "out", cache=cache)
    assert (again.metrics, again.curves) == (result.metrics, result.curves)
    other = gckd.apply(config, {"adapt.steps": 5})
    with pytest.raises(gckd.InputError, match=r"adapt\.steps: 4 -> 5"):
        gckd.train(other, out=street.parent / "out", cache=cache)


def test_an_interrupted_training_resumes_with_identical_results(
    result: gckd.TrainingResult, config: gckd.Config, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Progress] = []

    def interrupt_at_step_3(*_: Any) -> Any:
        def report(progress: Progress) -> None:
            shown.append(progress)
            if (progress.stage, progress.step) == ("adapt", 3):
                raise Interruption

        return report

    with monkeypatch.context() as patched:
        patched.setattr(local, "report_to_display", interrupt_at_step_3)
        with pytest.raises(Interruption):
            gckd.train(config, out=tmp_path / "out", cache=cache)
    assert (tmp_path / "out" / "full" / "seed-0" / "checkpoint.pt").exists()
    resumed = gckd.train(config, out=tmp_path / "out", cache=cache)
    assert resumed.metrics == result.metrics
    assert resumed.curves == result.curves


def test_datasets_are_opened_once(
    config: gckd.Config, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    find = dataset_pair.find_dataset

    def count(spec: str) -> Any:
        opened.append(spec)
        return find(spec)

    monkeypatch.setattr(dataset_pair, "find_dataset", count)
    short = gckd.apply(config, {"adapt.steps": 1, "adapt.evaluations": 1})
    finished = gckd.train(short, out=tmp_path / "out", cache=cache, progress=False)
    gckd.evaluate(finished.model)
    assert opened == [config.data.source, config.data.target]
