"""Why a message could not be handed over."""


class SendError(Exception):
    """The provider refused, or did not answer. `is_permanent`: trying again will not help."""

    def __init__(self, reason: str, *, is_permanent: bool) -> None:
        super().__init__(reason)
        self.is_permanent = is_permanent
