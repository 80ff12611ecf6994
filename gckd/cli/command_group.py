"""Group of commands, such as `gckd` and `gckd data`."""

from __future__ import annotations

import click

from gckd.errors import InputError, unknown_choice


class CommandGroup(click.Group):
    """Lists the first sentence of each command in full, and the commands where an unknown one is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Arguments of the command. Without any, the help is shown."""
        if not args and not ctx.resilient_parsing:  # a shell completes a command
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name, command and remaining arguments.

        Raises:
            InputError: unknown command.
        """
        unknown = args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx)
        if unknown and not ctx.resilient_parsing:
            raise InputError(unknown_choice("command", args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def first_sentences(self) -> dict[str, str]:
        """First sentence of the help of each command."""
        return {name: command.get_short_help_str(limit=200) for name, command in self.commands.items()}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self.first_sentences().items()))
