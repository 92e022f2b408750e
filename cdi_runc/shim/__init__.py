"""What runs between a container engine and the real runtime, once for every container that may ask for a device.

A module whose docstring begins with HOT is loaded for each of these containers, under `python3 -I -S`. It imports
builtin modules and other HOT ones only, since any other import costs a tenth to a hundred times what they do. One that
begins with RARE is loaded by a HOT one in the few cases that need it. All others are for what may be slow. Nothing here
knows `cdictl` or an engine's configuration.
"""
