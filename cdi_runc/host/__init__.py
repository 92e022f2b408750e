"""What this host is set to and has: settings, where things are kept, the devices, and the snapshot of all that.

It knows no container and no engine: the shim asks it, and so do cdictl, the engines' hooks and the node programs. Some
modules are HOT (see `cdi_runc.shim`); those that read YAML are not, and are run by the first who needs them.
"""
