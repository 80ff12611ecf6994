"""`gckd cluster`: check of a cluster file before `ray up`."""

from __future__ import annotations

from pathlib import Path

import click

from gckd.cli.parameter_types import LocalPath
from gckd.errors import InputError


@click.command()
@click.argument("file", type=LocalPath(), default=Path("cluster.yaml"))
def cluster(file: Path) -> None:
    """Check a cluster file before `ray up`.

    FILE [default: cluster.yaml] is a cluster file or a KubeRay manifest. Needs no cluster and no cloud account. Checks
    Ray's own schema, and what it misses: start commands, the token on every host, versions, a public dashboard or SSH,
    numbers of workers, the size of the synchronised files, and placeholders. Run it in the
    checkout.

    \b
    Examples:
      gckd cluster
      gckd cluster clusters/gcp.yaml
    """
    from gckd.cluster.cluster_yaml import cluster_problems

    problems = cluster_problems(file)
    if problems:
        raise InputError(*(f"{file}: {problem}" for problem in problems))
    click.echo(f"{file}: no problem found")
