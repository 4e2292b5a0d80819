"""What the token endpoint is asked, and what its answers mean.

It is a form and nothing else, by POST: the only one there is. A 401 with `server_error`, `access_denied` is not
the server's trouble: the instance hides every reason, a wrong secret or a property not set, behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NoReturn

import msgspec

from jobs.errors import CredentialsRejected, ResponseInvalid
from worker.servicenow.answers import Answer, Asked, check_answer
from worker.servicenow.tokens import Token

PATH: Final = "/oauth_token.do"

_USABLE: Final = re.compile(r"[\x21-\x7e]{1,8192}\Z")
_CREDENTIAL_ERRORS: Final = frozenset(
    {"server_error", "access_denied", "invalid_client", "invalid_grant", "unauthorized_client"}
)
_LONGEST_LIFETIME_SECONDS: Final = 86_400  # asked for again after a day, a longer one comes as the same token
_PROPERTY: Final = "glide.oauth.inbound.client.credential.grant_type.enabled"


class _Grant(msgspec.Struct):
    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105  a kind, no token
    expires_in: int = -1
    error: str = ""
    scope: str = ""


_DECODER: Final = msgspec.json.Decoder(_Grant, strict=False)  # some releases quote the number


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """The form of the client credentials grant. Neither shown nor pickled."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return "Form(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")

    def build(self) -> dict[str, str]:
        """Give what is sent."""
        asked = {"grant_type": "client_credentials"}
        return {**asked, "client_id": self.client_id, "client_secret": self.client_secret}


def parse_token(answer: Answer, asked: Asked) -> Token:
    """Read a token; raises CredentialsRejected, or what the answer says about the instance."""
    check_answer(answer, asked)
    grant = _parse_grant(answer.body)
    is_refused = answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}
    if is_refused or (answer.status == HTTPStatus.OK and grant.error in _CREDENTIAL_ERRORS):
        raise CredentialsRejected(_describe_refusal(answer.status, grant.error, asked))
    if answer.status == HTTPStatus.OK and _is_usable(grant):
        seconds = float(min(grant.expires_in, _LONGEST_LIFETIME_SECONDS))
        return Token(grant.access_token, seconds, grant.scope)
    raise ResponseInvalid(
        f"{asked} answered {answer.status} without one that can be used. Look at the instance's OAuth log."
    )


def _parse_grant(body: bytes) -> _Grant:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last for a deep nest of brackets
        return _Grant()


def _is_usable(grant: _Grant) -> bool:
    is_bearer = grant.token_type.lower() == "bearer"
    return is_bearer and grant.expires_in >= 0 and _USABLE.match(grant.access_token) is not None


def _describe_refusal(status: int, error: str, asked: Asked) -> str:
    word = f" {error}" if error in _CREDENTIAL_ERRORS else ""
    return (
        f"{asked} refused the client id and secret (status {status}{word}) and hides the reason. Check, in this order: "
        f"the secret stored here is the instance's (`zaptik credential set`); its system property {_PROPERTY} is true; "
        "its OAuth client has an OAuth application user, who is active and need not reset a password."
    )
