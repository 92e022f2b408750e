"""Systems that run no OCI bundle, and engines without cdi-runc: what `cdictl render` gives them, and hooks, for real.

They run in the machines of integration/engines/host.py.
"""
