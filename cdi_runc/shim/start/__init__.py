"""How the shim starts: the launcher in sh, and the two ways to start Python, from the sources or frozen."""
