"""Text messages through Twilio: the only file that knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import ConnectTimeout
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from urllib3.exceptions import NewConnectionError

from booking.config import TwilioAccount
from booking.delivery.errors import Away, BrokeOff, Refused, SendError
from booking.outbox.models import MessageState

TIMEOUT = 20  # seconds; the client has no limit of its own
LOOKED_THROUGH = 200  # messages to one number
OURS = {20003, 20005, 20006, 21212, 21603, 21606, 21659, 21660}  # the account or the sender is wrong, not the message
NO_MORE = "21610"  # the recipient has answered STOP
STATES = {
    "accepted": MessageState.SENT,
    "queued": MessageState.SENT,
    "sending": MessageState.SENT,
    "sent": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "undelivered": MessageState.FAILED,
    "failed": MessageState.FAILED,
}


@dataclass(frozen=True)
class Receipt:
    """What Twilio says about a text message: its id there, what became of it, and the reason where it failed."""

    provider_id: str
    state: MessageState
    reason: str | None


class TextService:
    """Twilio, with one session for many messages."""

    def __init__(self, account: TwilioAccount) -> None:
        self._sender = account.sender
        self._client = Client(account.sid, account.token, http_client=TwilioHttpClient(timeout=TIMEOUT, max_retries=0))
        if account.address:
            self._client.api.base_url = account.address

    def send(self, recipient: str, text: str, receipts_to: str | None) -> str:
        """Hands the text over; Twilio's id of it. Raises SendError.

        An answer that never came, or says that Twilio broke, leaves open whether the text was sent: BrokeOff.
        """
        reporting = {"status_callback": receipts_to} if receipts_to else {}
        try:
            sent = self._client.messages.create(to=recipient, from_=self._sender, body=text, **reporting)
        except (TwilioException, OSError) as error:
            raise _meaning(error) from error
        return str(sent.sid)

    def found(self, recipient: str, text: str, known: set[str]) -> Receipt | None:
        """The message with this text to this number that is none of the `known` ones; None if there is none.

        Raises SendError: BrokeOff if texts are kept back (message redaction), so that nobody can tell. No date filter:
        a message that still waits at Twilio has no date.
        """
        try:
            listed = self._client.messages.list(to=recipient, limit=LOOKED_THROUGH, page_size=LOOKED_THROUGH)
        except (TwilioException, OSError) as error:
            raise Away(str(_meaning(error))) from error
        unknown = [one for one in listed if one.sid not in known]
        for one in unknown:
            if one.body == text:
                return receipt({"MessageSid": one.sid, "MessageStatus": one.status, "ErrorCode": one.error_code})
        if any(not one.body for one in unknown):
            raise BrokeOff("the texts of messages cannot be read")
        return None


def receipt(values: Mapping[str, object]) -> Receipt | None:
    """What a status callback says; None for words that we do not know."""
    state = STATES.get(str(values.get("MessageStatus")))
    code = values.get("ErrorCode")
    reason = f"Twilio {code}" if code and state == MessageState.FAILED else None
    return Receipt(str(values.get("MessageSid")), state, reason) if state and values.get("MessageSid") else None


def is_from_twilio(account: TwilioAccount, address: str, values: Mapping[str, str], signature: str) -> bool:
    """Whether Twilio signed this call of our address, as it is called from outside."""
    return bool(RequestValidator(account.token).validate(address, values, signature))


def _meaning(error: Exception) -> SendError:
    if isinstance(error, TwilioRestException):
        reason = f"Twilio {error.status} {error.code or ''}".strip()
        if error.status >= 500:
            return BrokeOff(reason)
        is_ours = error.status in (401, 403, 404, 429) or error.code in OURS
        return Away(reason) if is_ours else Refused(reason)
    if isinstance(error, ConnectTimeout) or (isinstance(error, NoConnection) and _was_never_reached(error)):
        return Away(f"Twilio cannot be reached ({type(error).__name__})")
    return BrokeOff(f"Twilio did not answer ({type(error).__name__})")


def _was_never_reached(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)
