"""`completion`: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_ATUM_MAILER_COMPLETE"


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options and their choices.

    \b
    Examples:
      atum-mailer completion bash > ~/.local/share/bash-completion/completions/atum-mailer
      atum-mailer completion zsh > "${fpath[1]}/_atum-mailer"
      atum-mailer completion fish > ~/.config/fish/completions/atum-mailer.fish
    """
    from atum_ops.cli import cli

    found = get_completion_class(shell)
    if found is None:
        raise AssertionError(f"click has no completion for {shell}")
    made = found(cli, {}, "atum-mailer", _VARIABLE)
    # What click renders, without its look at which bash is installed here: the script may be for another machine.
    click.echo(made.source_template % made.source_vars())
