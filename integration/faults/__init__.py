"""What happens to containers and to engines' files when something goes wrong: `make faults`."""
