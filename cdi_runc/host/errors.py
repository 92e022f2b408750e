"""HOT. The errors of this host's settings; each is one line that says what is wrong, where, and what to do."""


class SettingsError(Exception):
    """A config.yaml that can't be used, or spec files that can't be read."""
