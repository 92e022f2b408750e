"""`python -m cdi_runc.kubernetes` is cdi-node."""

from cdi_runc.kubernetes.command import main

if __name__ == "__main__":
    main()
