"""The commands that tell why a container has a device or not, and what is wrong with the host."""
