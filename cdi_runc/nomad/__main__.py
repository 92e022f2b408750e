"""`python -m cdi_runc.nomad` is cdi-nomad."""

from cdi_runc.nomad.command import main

if __name__ == "__main__":
    main()
