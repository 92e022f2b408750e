"""Why a device is there or not: for a name, everything that the recipes looked at under it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cdi_runc.generate.collection import Recipes
from cdi_runc.generate.devices import Candidate
from cdi_runc.generate.files import Step
from cdi_runc.generate.recipe import Recipe
from cdi_runc.generate.specs import Generated
from cdi_runc.generate.text import device_nodes

Told = dict[str, Any]  # what `explained` gives, plain data


def explained(
    name: str, known: Recipes, left: dict[str, str], made: Iterable[Generated], steps: Iterable[Step]
) -> list[Told]:
    """What is known of a name: of a recipe, a kind, a device (with or without its kind), or a path in /sys.

    `left` has the recipes that are not used, `steps` what happens to each kind's file.
    """
    made = list(made)
    files = {step.kind: step for step in steps}
    told = [_candidate(each, one, files.get(one.kind)) for one in made for each in _about(name, one)]
    told += [
        {"recipe": recipe.name, "kind": recipe.kind, "result": f"the recipe is not used: {left[recipe.name]}"}
        for recipe in known.known.values()
        if recipe.name in left and _fits(name, recipe)
    ]
    told += [
        {"recipe": each, "result": f"the recipe is broken: {known.faults[each]}"}
        for each in known.faults
        if each == name
    ]
    told += [
        {"recipe": each, "result": f"the recipe is turned off by the empty file {known.off[each]}"}
        for each in known.off
        if each == name
    ]
    seen = {one["recipe"] for one in told}
    told += [
        {"recipe": recipe.name, "kind": recipe.kind, "result": f"nothing matches {' or '.join(recipe.match.globs)}"}
        for one in made
        for recipe in one.recipes
        if _fits(name, recipe) and recipe.name not in seen and not any(each.recipe is recipe for each in one.candidates)
    ]
    return told


def lines(told: Told) -> Iterator[tuple[str, str]]:
    """What is told, as pairs of a heading and a text."""
    for heading, key in (("recipe", "recipe"), ("kind", "kind"), ("matches", "path"), ("names", "names")):
        if told.get(key):
            yield heading, ", ".join(told[key]) if isinstance(told[key], list) else str(told[key])
    for name, text in told.get("values", {}).items():
        yield "value", f"{name}: {text or 'none'}"
    yield from (("node", node) for node in told.get("nodes", ()))
    yield from (("note", note) for note in told.get("notes", ()))
    yield "result", told["result"]


def _about(name: str, made: Generated) -> Iterator[Candidate]:
    for each in made.candidates:
        own = {*each.names, *(f"{made.kind}={one}" for one in each.names), each.path, *each.path.split("/")[-1:]}
        own |= {*each.values.values(), *(f"{made.kind}={text}" for text in each.values.values())} - {""}
        if name in own or _fits(name, each.recipe):
            yield each


def _fits(name: str, recipe: Recipe) -> bool:
    return name in (recipe.name, recipe.kind) or (
        # Of a device that is not there only the kind is known.
        name.startswith(f"{recipe.kind}=")
    )


def _candidate(each: Candidate, made: Generated, step: Step | None) -> Told:
    result = f"no device: {each.fault}" if each.fault else _result(made, step)
    return {
        "recipe": each.recipe.name,
        "kind": made.kind,
        "path": each.path,
        "names": [f"{made.kind}={name}" for name in each.names],
        "values": dict(each.values),
        "nodes": device_nodes([each.edits]),
        "notes": [
            *each.notes,
            *(note.text for note in made.notes if each.path in note.text),
        ],
        "result": result,
    }


def _result(made: Generated, step: Step | None) -> str:
    if step is None:
        return "a device, for which no file is planned"
    if step.action in ("remove", "leave"):
        return f"a device, but {step.reason}, so there is no file of ours"
    if step.action == "refuse":
        return f"a device, but {step.path} is not written: {step.reason}"
    return f"a device, in {step.path}" + ("" if step.action == "equal" else " once cdictl generate --write is run")
