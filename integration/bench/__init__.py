"""What the shim costs: `make bench`. measure.py times commands, hosts.py makes what they run on, __main__.py asks."""
