"""cluster.yaml and its variants agree with their parts and with each other, and pass the check once filled in."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from click.testing import CliRunner

from clusters.make import VARIANTS, rendered
from gckd.cli.main import cli
from gckd.cluster.cluster_yaml import cluster_problems
from gckd.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
LAUNCHED = ("aws", "gcp", "local")


def variant(name: str) -> dict[str, Any]:
    content = yaml.safe_load(VARIANTS[name][0].read_text())
    assert isinstance(content, dict)
    return content


def test_the_files_equal_the_rendered_parts() -> None:
    for file, text in rendered():
        assert file.read_text() == text, f"{file.name}: python clusters/make.py"


def starts(spec: dict[str, Any], where: str) -> str:
    (command,) = [command for command in spec[f"{where}_start_ray_commands"] if "ray start" in command]
    return str(command)


@pytest.mark.parametrize("field", ["idle_timeout_minutes", "file_mounts", "rsync_exclude", "setup_commands"])
def test_launched_variants_agree(field: str) -> None:
    first, *others = [variant(name)[field] for name in LAUNCHED]
    assert all(other == first for other in others)


def test_every_variant_starts_ray_with_the_same_options() -> None:
    """Kubernetes has fields for what the others write into commands."""
    workers = {starts(variant(name), "worker") for name in LAUNCHED}
    heads = {starts(variant(name), "head").replace(" RAY_enable_autoscaler_v2=0", "") for name in LAUNCHED}
    assert len(workers) == len(heads) == 1
    head, worker = heads.pop(), workers.pop()
    cluster = variant("kuberay")["spec"]["rayClusterSpec"]
    parameters = cluster["headGroupSpec"]["rayStartParams"]
    for option in ("num-cpus", "num-gpus", "object-store-memory"):
        assert f"--{option}={parameters[option]}" in head
    assert f"--resources='{json.loads(parameters['resources'])}'" in head
    assert f"--object-store-memory={cluster['workerGroupSpecs'][0]['rayStartParams']['object-store-memory']}" in worker
    assert f"RAY_AUTH_MODE={cluster['authOptions']['mode']}" in head
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (pod,) = group["template"]["spec"]["containers"]
        for pair in pod["env"]:
            assert f"{pair['name']}={pair['value']}" in head
            assert f"{pair['name']}={pair['value']}" in worker
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] == 60 * variant("aws")["idle_timeout_minutes"]


def test_clouds_have_the_same_nodes() -> None:
    aws, gcp = (variant(name)["available_node_types"] for name in ("aws", "gcp"))
    group = variant("kuberay")["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    for name in ("head", "gpu", "gpu_spot"):
        assert {k: v for k, v in aws[name].items() if k != "node_config"} == {
            k: v for k, v in gcp[name].items() if k != "node_config"
        }
    assert aws["head"]["resources"] == {"CPU": 0, "GPU": 0, "head": 1000}
    for name in ("gpu", "gpu_spot"):
        assert aws[name]["min_workers"] == group["minReplicas"] == 0
        assert aws[name]["max_workers"] == group["maxReplicas"]
        assert aws[name]["resources"] == {
            resource: int(group["rayStartParams"][f"num-{resource.lower()}s"]) for resource in ("CPU", "GPU")
        }
    assert "InstanceMarketOptions" in aws["gpu_spot"]["node_config"]
    assert "InstanceMarketOptions" not in aws["gpu"]["node_config"]


def test_the_nodes_install_by_the_readmes_command() -> None:
    """As the README says, with `.[gpu]` on nodes with GPUs."""
    readme = (ROOT / "README.md").read_text()
    for name in LAUNCHED:
        head, worker = (variant(name)[f"{where}_setup_commands"][0] for where in ("head", "worker"))
        command = "pip install -c constraints.txt -e '.[cpu]'"
        assert command in readme
        assert command in head
        assert command.replace("cpu", "gpu") in worker


Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home of a user who has created the token; the working directory is a small checkout."""
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    (tmp_path / "home" / ".ray" / "auth_token").write_text("t")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "constraints.txt").write_text(f"ray=={ray.__version__}\n")
    monkeypatch.chdir(checkout)
    return checkout


def filled(name: str, checkout: Path, change: Change = lambda spec: None) -> Path:
    """File of a variant with the placeholders filled in, then changed."""
    text = VARIANTS[name][0].read_text()
    for placeholder, value in (
        ("sg-00000000000000000", "sg-0123456789abcdef0"),
        ("my-project", "own-project"),
        ("192.0.2.", "10.0.0."),
        ("registry.example", "registry.test"),
        ("BUCKET", "own"),
    ):
        text = text.replace(placeholder, value)
    spec = yaml.safe_load(text)
    change(spec)
    file = checkout / "mine.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


@pytest.mark.parametrize("name", VARIANTS)
def test_a_filled_in_variant_has_no_problem(name: str, home: Path) -> None:
    assert cluster_problems(filled(name, home)) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_placeholders_are_reported(name: str, home: Path) -> None:
    problems = cluster_problems(VARIANTS[name][0])
    assert problems
    assert all("is a placeholder" in problem for problem in problems)


def set_start(where: str, old: str, new: str) -> Change:
    def change(spec: dict[str, Any]) -> None:
        commands = spec[f"{where}_start_ray_commands"]
        assert any(old in command for command in commands)
        spec[f"{where}_start_ray_commands"] = [command.replace(old, new) for command in commands]

    return change


WRONG: list[tuple[str, Change, str]] = [
    (
        "aws",
        lambda g: g.update(max_worker=3),
        "file: Additional properties are not allowed ('max_w",
    ),
    ("aws", lambda g: g.update(head_node_type="haed"), "file: refused by Ray"),
    ("aws", lambda g: g.update(file_mounts=["a"]), "file_mounts: ['a'] is not of type 'object'"),
    ("aws", lambda g: g["file_mounts"].update({"~/a": None}), "file_mounts.~/a: None is not of type 'string'"),
    ("aws", lambda g: g.update(available_node_types=7), "available_node_types: 7 is not of type 'object'"),
    (
        "aws",
        lambda g: g["provider"].update(type="nosuch"),  # Ray raises NotImplementedError
        "file: refused by Ray (Unsupported node provider: nosuch)",
    ),
    ("aws", set_start("head", "ray start --head", "true"), "head_start_ray_commands: no `ray start --head`"),
    ("aws", set_start("worker", "ray start", "true"), "worker_start_ray_commands: no `ray start --address`"),
    (
        "aws",
        set_start("worker", "RAY_AUTH_MODE=token", ""),
        "worker_start_ray_commands: RAY_AUTH_MODE=token",
    ),
    ("aws", set_start("head", "=127.0.0.1", "=0.0.0.0"), "head_start_ray_commands: --dashboard-host=0.0.0.0 is public"),
    ("aws", lambda g: g["file_mounts"].pop("~/.ray/auth_token"), "file_mounts: ~/.ray/auth_token is missing"),
    (
        "aws",
        lambda g: g["file_mounts"].update({"~/.ray/auth_token": "/nowhere"}),
        "file_mounts: /nowhere does not exist",
    ),
    (
        "aws",
        lambda g: g["file_mounts"].update({"~/ALBEF.pth": "/nowhere/ALBEF.pth"}),
        "file_mounts.~/ALBEF.pth: /nowhere/ALBEF.pth does not exist on this machine",
    ),
    (
        "aws",
        lambda g: g["provider"].update(availability_zone="us-west-2a,us-east-1b"),
        "provider.availability_zone: us-east-1b is not in the region us-west-2",
    ),
    (
        "gcp",
        lambda g: g["provider"].update(availability_zone="europe-west4-a"),
        "provider.availability_zone: europe-west4-a is not in the region us-central1",
    ),
    (
        "aws",
        lambda g: g["available_node_types"]["head"]["node_config"].pop("SecurityGroupIds"),
        "available_node_types.head.node_config.SecurityGroupIds: missing",
    ),
    (
        "aws",
        lambda g: g["available_node_types"]["gpu"].update(min_workers=9),
        "file: refused by Ray (The specified global",
    ),
    (
        "aws",
        lambda g: g["available_node_types"]["gpu"].update(min_workers=3, max_workers=2),
        "available_node_types.gpu: min_workers is above max_workers",
    ),
    ("aws", lambda g: g.update(max_workers=0), "max_workers: 0 is outside its limit: >= 1"),
    (
        "aws",
        lambda g: g["setup_commands"].append("pip install ray==2.9.0"),
        "setup_commands: hosts install ray 2.9.0",
    ),
    (
        "aws",
        lambda g: g.update(setup_commands=["pip install ray"], head_setup_commands=[]),
        "setup_commands: the version of ray is not pinned",
    ),
    ("local", lambda g: g["provider"].update(worker_ips=[]), "provider.worker_ips: empty"),
    ("kuberay", lambda g: g["spec"]["rayClusterSpec"].pop("authOptions"), "authOptions.mode: is not token"),
    ("kuberay", lambda g: g["spec"]["rayClusterSpec"].update(rayVersion="2.9.0"), "rayVersion: 2.9.0 in the file"),
    (
        "kuberay",
        lambda g: g["spec"]["rayClusterSpec"]["headGroupSpec"].update(serviceType="LoadBalancer"),
        "headGroupSpec.serviceType: LoadBalancer is public",
    ),
    (
        "kuberay",
        lambda g: g["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].update(maxReplicas=0),
        "workerGroupSpecs: maxReplicas is 0",
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), WRONG, ids=[message[:40] for _, _, message in WRONG])
def test_a_mistake_is_one_line(name: str, change: Change, message: str, home: Path) -> None:
    (problem,) = cluster_problems(filled(name, home, change))
    assert problem.startswith(message)


def test_a_long_value_of_several_lines_is_one_line_of_bounded_length(home: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["spec"]["rayClusterSpec"]["rayVersion"] = "x\n" * 5000

    (problem,) = cluster_problems(filled("kuberay", home, change))
    assert problem.startswith("rayVersion: x")
    assert "\n" not in problem and len(problem) == 2000


def test_a_folder_that_is_too_large_is_refused(home: Path) -> None:
    (home / "weights.bin").write_bytes(b"\0" * (201 * 2**20))
    (problem,) = cluster_problems(filled("aws", home))
    assert problem.startswith("file_mounts.~/gckd: . has 201 MiB, limit 200")
    (home / "weights.bin").rename(home / "weights.safetensors")  # excluded
    assert cluster_problems(filled("aws", home)) == []


@pytest.mark.parametrize("name", ["ALBEF.pth", "model.safetensors", "store/images.arrow"])
def test_a_mount_that_rsync_would_leave_out_is_reported(name: str, home: Path) -> None:
    """Ray passes `rsync_exclude` for every mount, also for that of one file."""
    source = home.parent / name
    source.parent.mkdir(exist_ok=True)
    source.write_text("weights")
    mount = source.parent if "/" in name else source

    def change(spec: dict[str, Any]) -> None:
        spec["file_mounts"]["~/mine"] = str(mount)

    (problem,) = cluster_problems(filled("aws", home, change))
    pattern = f"*{source.suffix}"
    assert problem.startswith(f"file_mounts.~/mine: rsync_exclude: {pattern} keeps {mount} back")

    def allowed(spec: dict[str, Any]) -> None:
        change(spec)
        spec["rsync_exclude"].remove(pattern)

    assert cluster_problems(filled("aws", home, allowed)) == []


@pytest.mark.parametrize("text", ["- a list", "{", "\0"])
def test_a_file_without_a_mapping_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match="c.yaml"):
        cluster_problems(tmp_path / "c.yaml")


def test_the_command_prints_the_problems(home: Path) -> None:
    run = functools.partial(CliRunner().invoke, cli, catch_exceptions=False)
    file = filled("local", home)
    assert run(["cluster", str(file)]).output == f"{file}: no problem found\n"
    filled("local", home, lambda spec: spec.pop("provider"))
    with pytest.raises(InputError) as caught:
        run(["cluster", str(file)])
    assert str(caught.value).startswith(f"{file}: file: ")


def test_the_command_checks_every_file_that_it_is_given(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, missing = filled("local", home), VARIANTS["gcp"][0], home / "missing.yaml"
    with pytest.raises(InputError) as caught:
        cli.main(["cluster", str(bad), str(missing), str(good)], standalone_mode=False)
    placeholder, unreadable = caught.value.args
    assert placeholder == f"{bad}: metadata.project: my-project is a placeholder; enter your value"
    assert unreadable.startswith(f"{missing}: cannot be read")
    assert capsys.readouterr().out == f"{good}: no problem found\n"


def test_a_placeholder_inside_a_long_value_is_named_alone() -> None:
    problems = cluster_problems(VARIANTS["kuberay"][0])
    assert "metadata.annotations.entrypoint: s3://BUCKET is a placeholder; enter your value" in problems
    assert "metadata.annotations.image: registry.example/gckd:latest is a placeholder; enter your value" in problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spec: [1]", "spec: [1] is not a mapping of fields"),
        ("spec: {rayClusterSpec: 3}", "rayClusterSpec: 3 is not a mapping of fields"),
        ("spec: {headGroupSpec: x}", "headGroupSpec: 'x' is not a mapping of fields"),
        ("spec: {authOptions: [x]}", "authOptions: ['x'] is not a mapping of fields"),
        ("spec: {workerGroupSpecs: {a: 1}}", "workerGroupSpecs: {'a': 1} is not a list of mappings"),
        ("spec: {workerGroupSpecs: [3]}", "workerGroupSpecs: [3] is not a list of mappings"),
        ("spec: {workerGroupSpecs: [{maxReplicas: two}]}", "workerGroupSpecs: maxReplicas 'two' is not a whole number"),
        ("spec:", "workerGroupSpecs: maxReplicas is 0 in every group; trials need a worker"),
    ],
)
def test_a_malformed_manifest_has_one_line_per_problem(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(f"apiVersion: ray.io/v1\n{text}\n")
    assert message in cluster_problems(tmp_path / "m.yaml")


def test_a_manifest_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (problem,) = cluster_problems(tmp_path / "pod.yaml")
    assert problem.startswith("apiVersion: 'v1' is outside its limit: ray.io/*")
