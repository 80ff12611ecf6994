"""The `gckd` command and its subcommands."""

from __future__ import annotations

import importlib

import click
from click.shell_completion import CompletionItem

import gckd
from gckd.cli.command_group import CommandGroup
from gckd.cli.guard import run_command
from gckd.errors import InputError

# name -> where the command is, and its line in `gckd --help`, which thus imports neither torch nor Ray
COMMANDS = {
    "ablate": ("gckd.cli.ablate:ablate", "Train the method with and without its components, and write a table."),
    "audit": ("gckd.cli.audit:audit", "Print the precision of the pseudo labels, measured with target train labels."),
    "cluster": ("gckd.cli.cluster:cluster", "Check cluster files before `ray up`."),
    "config": ("gckd.cli.config:config", "Print every field of the config with its unit and limit."),
    "data": ("gckd.cli.data:data", "Generate, check and store datasets."),
    "demo": ("gckd.cli.demo:demo", "Open a local page that searches images by a sentence."),
    "embed": ("gckd.cli.embed:embed", "Export the embeddings of images, with their paths."),
    "estimate": ("gckd.cli.estimate:estimate", "Estimate memory and time of a run on a GPU, without one."),
    "evaluate": ("gckd.cli.train:evaluate", "Print the retrieval metrics of checkpoints."),
    "find": ("gckd.cli.find:find", "Find the images that match a sentence."),
    "report": ("gckd.cli.report:report", "Make the tables and report.html of a FOLDER again from its records."),
    "train": ("gckd.cli.train:train", "Train and evaluate one run."),
    "tune": ("gckd.cli.tune:search", "Search hyperparameters without target labels, and report the study."),
    "weights": ("gckd.cli.weights:weights", "List which keys of a checkpoint the backbone loads."),
}


_EPILOGUE = """
\b
Exit status:
  0    the command is done
  1    it is done, and found problems or failed runs, which it names
  2    bad input, or a problem of the system such as a full disk; one
       line begins with `error:` and says what to do
  130  interrupted; finished work is kept

\b
Completion of commands and options in bash (zsh and fish likewise):
  eval "$(_GCKD_COMPLETE=bash_source gckd)"
"""


class _LazyGroup(CommandGroup):
    """Imports the module of a command only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if (error.name or "gckd").startswith("gckd"):
                raise
            raise InputError(f"gckd {cmd_name}: {error.name} is missing; pip install 'gckd[cpu]'") from error
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name][1]) for name in names), *options]

    def first_sentences(self) -> dict[str, str]:
        return {name: line for name, (_, line) in COMMANDS.items()}


@click.group(cls=_LazyGroup, epilog=_EPILOGUE)
@click.version_option(gckd.__version__, prog_name="gckd")
def cli() -> None:
    """Adapt a text-to-image person retriever to a dataset without labels (GCKD, arXiv 2501.15052).

    \b
    Start:
      gckd train --out runs/demo          train and evaluate one run
      gckd ablate --drop gmp              table with and without the graph
      gckd tune --trials 8                search hyperparameters
      gckd find runs/demo "a red coat"    search images by a sentence
      gckd config                         list all config fields

    `gckd COMMAND --help` describes a command and its options. CHECKPOINT is a checkpoint.pt or the output folder of one
    run, in every command.
    """


def main() -> None:
    """Entry point of the `gckd` command."""
    run_command(cli)
