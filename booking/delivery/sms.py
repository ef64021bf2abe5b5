"""Text messages through Twilio: the only file that knows it."""

from __future__ import annotations

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from booking.config import TwilioAccount
from booking.delivery.errors import SendError

TIMEOUT = 20  # seconds; the client has no limit of its own


def send_sms(account: TwilioAccount, recipient: str, text: str) -> str:
    """Hands the text over; Twilio's id of it. Raises SendError: 4xx but 429 is permanent.

    An answer that never came is permanent too: nobody knows whether the text was sent, and it must not go twice.
    """
    client = Client(account.sid, account.token, http_client=TwilioHttpClient(timeout=TIMEOUT))
    if account.address:
        client.api.base_url = account.address
    try:
        sent = client.messages.create(to=recipient, from_=account.sender, body=text)
    except TwilioRestException as error:
        is_permanent = 400 <= error.status < 500 and error.status != 429
        raise SendError(f"Twilio {error.status} {error.code or ''}", is_permanent=is_permanent) from error
    except (TwilioException, OSError) as error:
        raise SendError(f"undecided: Twilio did not answer ({type(error).__name__})", is_permanent=True) from error
    return str(sent.sid)
