"""Why a message could not be handed over, by what is to be done about it."""


class SendError(Exception):
    """The message was not handed over; the text says why, as the provider put it."""


class Refused(SendError):
    """This message will never go this way: the address is wrong, or its owner wants none."""


class Later(SendError):
    """This message cannot go now; others may."""


class Away(SendError):
    """The provider cannot be reached, or takes nothing from us now. The message was not handed over."""


class BrokeOff(SendError):
    """The provider fell silent over this message: it may have it or not."""
