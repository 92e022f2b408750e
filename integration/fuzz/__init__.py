"""Odd and broken input of every kind, out of thin air: `make fuzz`."""
