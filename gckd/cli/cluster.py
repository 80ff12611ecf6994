"""`gckd cluster`: check of cluster files before `ray up`."""

from __future__ import annotations

from pathlib import Path

import click

from gckd.cli.parameter_types import LocalPath
from gckd.errors import InputError


@click.command()
@click.argument("files", metavar="[FILE]...", type=LocalPath(), nargs=-1)
def cluster(files: tuple[Path, ...]) -> None:
    """Check cluster files before `ray up`.

    FILE [default: cluster.yaml] is a cluster file or a KubeRay manifest. Needs no cluster and no cloud account. Checks
    Ray's own schema, and what it misses: start commands, the token on every host, versions, a public dashboard or SSH,
    numbers of workers, the size of the synchronised files, and placeholders. Run it in the
    checkout.

    \b
    Examples:
      gckd cluster
      gckd cluster clusters/gcp.yaml
      gckd cluster clusters/*.yaml

    Exit status: 0 without problems, 2 with problems.
    """
    from gckd.cluster.cluster_yaml import cluster_problems

    problems = []
    for file in files or (Path("cluster.yaml"),):
        try:
            of_file = [f"{file}: {problem}" for problem in cluster_problems(file)]
        except InputError as error:  # the other files are checked, too
            of_file = list(error.args)
        if not of_file:
            click.echo(f"{file}: no problem found")
        problems += of_file
    if problems:
        raise InputError(*problems)
