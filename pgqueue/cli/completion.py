"""`pgqueue completion`: what a shell needs to complete commands, options and states."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pgqueue.cli.command import Command, Failure


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes pgqueue's commands in SHELL.

    \b
    bash:  pgqueue completion bash >> ~/.bashrc
    zsh:   pgqueue completion zsh >> ~/.zshrc
    fish:  pgqueue completion fish > ~/.config/fish/completions/pgqueue.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"no completion for {shell}; there is one for bash, zsh and fish")
    root = ctx.find_root().command
    try:
        click.echo(kind(root, {}, "pgqueue", "_PGQUEUE_COMPLETE").source())
    except RuntimeError as error:
        raise Failure(str(error)) from error
