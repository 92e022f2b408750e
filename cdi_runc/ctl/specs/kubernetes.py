"""`cdictl kubernetes`: what a cluster is told about the devices of a node."""

import click

from cdi_runc.cdi.names import split_kind
from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data


@click.group(cls=Group)
def kubernetes() -> None:
    """Write what a Kubernetes cluster needs to know of the devices."""


@kubernetes.command()
@click.option(
    "--api-version", type=click.Choice(["v1", "v1beta2", "v1beta1"]), default="v1", help="Of resource.k8s.io."
)
@click.option("--extended-resources", is_flag=True, help="Pods may ask by `limits:` too (v1, Kubernetes 1.36).")
@output_option("yaml", "json")
@click.pass_obj
def classes(options: Options, api_version: str, extended_resources: bool, output: str) -> None:
    """Write a DeviceClass for each kind of device.

    The output is for `kubectl apply -f -`."""
    from cdi_runc.kubernetes.classes import device_classes

    if extended_resources and api_version != "v1":
        raise click.UsageError("--extended-resources needs --api-version v1")
    kinds = {"/".join(split_kind(name.partition("=")[0])) for name in options.known().names}
    found, faults = device_classes(kinds, api_version, extended_resources)
    for fault in faults:
        echo_aside(fault)
    echo_data({"apiVersion": "v1", "kind": "List", "items": found}, output)
