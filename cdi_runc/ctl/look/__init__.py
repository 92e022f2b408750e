"""The commands that show what is there: devices, kinds, spec files."""
