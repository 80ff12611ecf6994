"""Generate cluster.yaml and its variants from the templates and shared values in clusters/parts.

python clusters/make.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "clusters" / "parts"
# Variant: (file, variables before `ray start` on the head, packages added to its installation).
# Of several given hosts, autoscaler v2 starts only one; v1 starts all.
VARIANTS = {
    "aws": (ROOT / "cluster.yaml", "", " boto3"),
    "gcp": (ROOT / "clusters" / "gcp.yaml", "", " google-api-python-client google-cloud-storage"),
    "local": (ROOT / "clusters" / "local.yaml", " RAY_enable_autoscaler_v2=0", ""),
    "kuberay": (ROOT / "clusters" / "kuberay.yaml", "", ""),
}


def rendered() -> Iterator[tuple[Path, str]]:
    """(file, content) of every variant."""
    shared = yaml.safe_load((PARTS / "shared.yaml").read_text(encoding="utf-8"))
    loader = jinja2.FileSystemLoader(PARTS)
    templates = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701  # YAML
    templates.filters["flow"] = _flow
    values = {
        "shared": shared,
        "exports": " ".join(f"{name}={value}" for name, value in shared["env"].items()),
        "ray": _pinned("ray"),
        "made": "Made by `python clusters/make.py`, with its variants, from clusters/parts.",
    }
    for name, (file, head_env, head_extra) in VARIANTS.items():
        launcher = templates.get_template("launcher.yaml.j2").render(**values, head_env=head_env, head_extra=head_extra)
        yield file, templates.get_template(f"{name}.yaml.j2").render(**values, launcher=launcher).rstrip() + "\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()


def _pinned(package: str) -> str:
    """Version that constraints.txt pins."""
    pin = re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pin is not None
    return pin.group(1)


if __name__ == "__main__":
    for file, text in rendered():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))
