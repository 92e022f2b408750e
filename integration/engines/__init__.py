"""Real engines running real containers through cdi-runc, each in a machine to spoil (host.py).

Every engine answers to the same tables, in devices.py and in integration/bundles.py.
"""
