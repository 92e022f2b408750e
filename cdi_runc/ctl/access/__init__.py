"""Who had devices and who has them now: the audit's lines, the containers that hold a device, figures."""
