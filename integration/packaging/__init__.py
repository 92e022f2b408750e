"""cdi-runc installed, used, replaced and removed in every way that there is, on machines to spoil."""
