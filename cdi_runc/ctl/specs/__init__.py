"""The commands that check, write and change specs, and that put devices into a config."""
