"""A module beside the flow's file, which the workers do not have."""


class Measurement:
    def __init__(self, value):
        self.value = value


class HelperError(Exception):
    pass


def double(value):
    return Measurement(2 * value)


def fail(value):
    raise HelperError(f"no use for {value}")
