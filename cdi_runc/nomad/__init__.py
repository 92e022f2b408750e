"""Every CDI device of a node as a device of Nomad.

`cdi-nomad` is a device plugin that Nomad's agent starts. It offers what is in the inventory, and tells the agent what a
task with a device needs. It knows nothing of the shim.
"""
