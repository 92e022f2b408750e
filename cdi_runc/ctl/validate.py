"""`cdictl validate`: whether spec files can be used, and if not, every reason why."""

import click

from cdi_runc import CDIError, InvalidSpec, load_spec
from cdi_runc.cdi.errors import Problem
from cdi_runc.ctl.options import output_option
from cdi_runc.ctl.output import echo_data


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@output_option("table", "json", "yaml")
@click.pass_context
def validate(ctx: click.Context, files: tuple[str, ...], output: str) -> None:
    """Check spec files.

    Each problem is one line: FILE:LINE:COLUMN: FIELD: what is wrong. Exit status 1 where there is any.
    """
    found = {path: _problems(path) for path in files}
    if output == "table":
        for path, problems in found.items():
            for problem in problems:
                place = f"{path}:{problem.line}:{problem.column}" if problem.line else path
                click.echo(f"{place}: {problem}")
            if not problems:
                click.echo(f"{path}: valid")
    else:
        data = [{"path": path, "valid": not found[path], "problems": list(map(_data, found[path]))} for path in found]
        echo_data(data, output)
    ctx.exit(1 if any(found.values()) else 0)


def _problems(path: str) -> list[Problem]:
    try:
        load_spec(path)
    except InvalidSpec as error:
        return list(error.problems)
    except CDIError as error:
        return [Problem("", str(error))]
    return []


def _data(problem: Problem) -> dict[str, object]:
    return {name: getattr(problem, name) for name in ("line", "column", "field", "message")}
