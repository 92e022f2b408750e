"""`cdictl recipes`: the recipes of cdictl generate, listed, shown and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_table
from cdi_runc.generate.collection import recipes as recipes_of
from cdi_runc.generate.collection import says_something
from cdi_runc.generate.recipe import InvalidRecipe, parse
from cdi_runc.generate.specs import chosen
from cdi_runc.generate.tree import Tree
from cdi_runc.generate.udev import rules
from cdi_runc.host.missing import nearest

_ROOT = click.option(
    "--root", metavar="DIR", type=click.Path(), default="/", help="The host's files are below this directory."
)


def complete_name(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of recipes that begin so."""
    root = ctx.params.get("root") or "/"
    return sorted(name for name in recipes_of(Tree(root)).known if name.startswith(incomplete))


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def recipes(ctx: click.Context) -> None:
    """List, show and check the recipes of cdictl generate. Without a command of these, list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@recipes.command(name="list")
@_ROOT
@output_option("table", "json", "yaml")
def list_(root: str = "/", output: str = "") -> None:
    """List the recipes, and say which are not used here and why."""
    output = output or (click.get_current_context().find_object(Options) or Options()).output
    tree = Tree(root)
    if not os.path.isdir(root):
        raise click.ClickException(f"{root}: there is no such directory")
    known = recipes_of(tree)
    left = chosen(known, (), tree)[1]
    rows: list[dict[str, Any]] = [
        {
            "name": recipe.name,
            "kind": recipe.kind,
            "summary": recipe.summary,
            "path": recipe.path,
            "unused": left.get(recipe.name, ""),
        }
        for recipe in known.known.values()
    ]
    rows += [
        {"name": name, "kind": "", "summary": "", "path": "", "unused": fault} for name, fault in known.faults.items()
    ]
    rows += [
        {"name": name, "kind": "", "summary": "", "path": path, "unused": f"{path} is empty, which turns it off"}
        for name, path in known.off.items()
    ]
    rows.sort(key=lambda row: row["name"])
    if output != "table":
        echo_data({"recipes": rows}, output)
        return
    echo_table(("RECIPE", "KIND", "WHAT"), [(row["name"], row["kind"] or "-", row["summary"] or "-") for row in rows])
    for row in rows:
        if row["unused"]:
            echo_aside(f"{row['name']} is not used: {row['unused']}")


@recipes.command()
@click.argument("name", shell_complete=complete_name)
@_ROOT
def show(name: str, root: str) -> None:
    """Print a recipe, and before it where it is."""
    known = recipes_of(Tree(root))
    if name not in known.known:
        why = known.faults.get(name) or (
            f"the recipe {name} is off: {known.off[name]} is empty" if name in known.off else ""
        )
        raise click.ClickException(
            why or f"there is no recipe {name!r}{nearest(name, known.known)} (cdictl recipes lists them)"
        )
    path = known.known[name].path
    click.echo(f"# {path}")
    click.echo(Path(path).read_text("utf-8"), nl=False)


@recipes.command()
@click.argument("paths", metavar="FILE...", type=click.Path(), nargs=-1, required=True)
@click.pass_context
def check(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Check recipe files, one line for each that is broken. Exit status 1 where there is one."""
    broken = 0
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        try:
            text = Path(path).read_text("utf-8")
            found = parse(text, name, path) if says_something(text) else None
        except InvalidRecipe as fault:
            broken += 1
            echo_aside(str(fault))
        except UnicodeDecodeError:
            broken += 1
            echo_aside(f"{path} is not UTF-8")
        except OSError as fault:
            broken += 1
            echo_aside(f"{path}: {fault.strerror}")
        else:
            click.echo(f"{path}: a recipe for {found.kind}" if found else f"{path}: empty, so the recipe {name} is off")
    ctx.exit(1 if broken else 0)


@recipes.command(name="udev-rules")
@click.option("--shipped", is_flag=True, help="Of our own recipes only, as in the packages.")
@_ROOT
def udev_rules(shipped: bool, root: str) -> None:
    """Print rules for udev that react to the devices of all recipes.

    The recipes of this host are among them."""
    known = recipes_of(Tree(os.devnull if shipped else root))
    click.echo(rules(known.known.values()), nl=False)
