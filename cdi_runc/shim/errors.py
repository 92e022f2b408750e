"""HOT. The errors of the shim: each is one line that says what is wrong, where, and what to do."""


class ShimError(Exception):
    """The container can't be made as it was asked for; the message is for the person who typed the command."""


class ConfigError(ShimError):
    """A config.json that can't be read or edited."""


class Denied(ShimError):
    """A rule of the policy does not let a container have a device. `device`, and the `place` of the rule."""

    def __init__(self, message: str, device: str, place: str) -> None:
        super().__init__(message)
        self.device, self.place = device, place


class RuntimeMissing(ShimError):
    """There is no runtime to wrap, or it is the shim itself."""
