"""LXC's and Incus's hooks: the same devices for containers that have no OCI bundle and no OCI runtime.

`cdi-runc --cdi-hook=lxc:STAGE` is what LXC calls, four times in a container's life. `pre-start` resolves and checks,
where a fault can still be told and logged, and leaves a plan; the later stages carry it out and read no spec. Rare as
the shim sees it, so these modules are frozen beside the hot ones (freeze.py). They import builtin modules, and
`_ctypes` to mount.
"""
