"""The CDI standard and nothing else: names, annotations, versions, spec files, the registry, container edits.

It knows no container engine and no OCI runtime. Nothing is imported here, since the shim takes single modules of this
package at every container create.
"""
