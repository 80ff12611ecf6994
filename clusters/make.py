"""Makes cluster.yaml and its variants from their parts: what they share is written once, in clusters/parts.

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
# Variant: (file, what is added to the command that starts Ray on the head, and to what is installed there).
# Autoscaler v2 starts one of several hosts that are there already; v1 starts all of them.
VARIANTS = {
    "aws": (ROOT / "cluster.yaml", "", " boto3"),
    "gcp": (ROOT / "clusters" / "gcp.yaml", "", " google-api-python-client google-cloud-storage"),
    "local": (ROOT / "clusters" / "local.yaml", " RAY_enable_autoscaler_v2=0", ""),
    "kuberay": (ROOT / "clusters" / "kuberay.yaml", "", ""),
}


def rendered() -> Iterator[tuple[Path, str]]:
    """(file, what it is to hold) of every variant."""
    shared = yaml.safe_load((PARTS / "shared.yaml").read_text(encoding="utf-8"))
    loader = jinja2.FileSystemLoader(PARTS)
    templates = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701  # YAML
    templates.filters["flow"] = _flow
    given = {
        "shared": shared,
        "exports": " ".join(f"{name}={value}" for name, value in shared["env"].items()),
        "ray": _pinned("ray"),
        "made": "Made by `python clusters/make.py`, with its variants, from clusters/parts.",
    }
    for name, (file, head_env, head_extra) in VARIANTS.items():
        launcher = templates.get_template("launcher.yaml.j2").render(**given, head_env=head_env, head_extra=head_extra)
        yield file, templates.get_template(f"{name}.yaml.j2").render(**given, launcher=launcher).rstrip() + "\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()


def _pinned(package: str) -> str:
    """The version that the README's command installs."""
    found = re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found.group(1)


if __name__ == "__main__":
    for file, text in rendered():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))
