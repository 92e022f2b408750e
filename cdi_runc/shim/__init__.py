"""What runs between a container engine and the real runtime, once for every container that may ask for a device.

HOT: the modules that `freeze.HOT` names start under `python3 -I -S` and import builtin modules and one another only,
since every other import costs a tenth to a hundred times what they do. The rest (settings, refresh, freeze) is for what
may be slow. Nothing here knows `cdictl` or an engine's configuration.
"""
