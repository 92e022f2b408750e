"""HOT. What a config.json was before the edits of an earlier run, kept beside it.

runc and crun run a bundle as often as they are told. Each run gets the edits of today's specs, and what the user wrote
stays. So two files remember a run: a hard link to the config that was found, and a copy of the one that was written.
Knows which files these are; bundle.py reads and writes them, again.py compares them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cdi_runc.shim.bundle import Config

    Object = dict[str, Any]  # a JSON object

# The launcher looks for the second one, since a bundle may ask for nothing any more.
BEFORE, AFTER = ".{}.before-cdi-runc", ".{}.after-cdi-runc"


def before_edits(config: "Config") -> "Object":
    """The data of the config without the edits of an earlier run; its own data where there was none.

    If its author has written the config again since then, its own data are the answer.
    """
    made = config.beside(AFTER.format(config.name))
    found = config.beside(BEFORE.format(config.name)) if made is not None else None
    if made is None or found is None or config.data == found:
        return config.data
    from cdi_runc.shim.again import NotOurs, without_edits  # rare, and so not loaded before

    try:
        return without_edits(config.data, made, found)
    except NotOurs:
        return config.data


def replace(config: "Config", before: "Object", made: "Object") -> None:
    """Put `made` into the file, and keep what is needed to find `before` again.

    before: what `before_edits` gave. Raises ConfigError, and then the config is as it was.
    """
    kept_before, kept_after = BEFORE.format(config.name), AFTER.format(config.name)
    if before is config.data:
        config.link(kept_before)
    elif before != config.beside(kept_before):
        config.keep(kept_before, before)
    config.data = made
    config.replace(kept_after)
    if made == before:
        forget(config)


def restore(config: "Config") -> None:
    """Put back what was read before `replace`: the runtime could not be started."""
    read = config.restore()
    if read == config.beside(BEFORE.format(config.name)):
        forget(config)
    else:
        config.keep(AFTER.format(config.name), read)


def forget(config: "Config") -> None:
    """Remove what was kept."""
    config.remove(AFTER.format(config.name))
    config.remove(BEFORE.format(config.name))
