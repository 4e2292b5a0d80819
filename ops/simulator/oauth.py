"""The token endpoint: client credentials, from a form, and one token while it lives.

Asking again before the token dies gives the same one with fewer seconds left, as the instance does.
"""

from __future__ import annotations

import hmac
import math
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TokenAnswer = tuple[int, dict[str, str | int]]

_DENIED: TokenAnswer = (401, {"error_description": "access_denied", "error": "server_error"})
_UNKNOWN_CLIENT: TokenAnswer = (401, {"error": "invalid_client", "error_description": "access_denied"})
_UNSPECIFIED: TokenAnswer = (400, {"error_description": "unspecified error", "error": "invalid_request"})
_WRONG_GRANT: TokenAnswer = (
    400,
    {"error_description": "unsupported grant_type", "error": "unsupported_grant_type"},
)
METHOD_REFUSED: TokenAnswer = (405, {"error": "invalid_request", "error_description": "method not allowed"})
_PARAMETERS = frozenset({"grant_type", "client_id", "client_secret", "scope"})


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    dies_at_seconds: float


class OAuth:
    """The one client of the instance and its token."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        token_seconds: float = 1800,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_seconds = token_seconds
        self.has_application_user = True
        self._clock = clock
        self._token: _Token | None = None

    def __repr__(self) -> str:
        return f"<OAuth client_id={self.client_id!r} token_live={self._live() is not None}>"

    def issue(self, form: Mapping[str, str] | None, query: Mapping[str, str]) -> TokenAnswer:
        """Answer a token request; `form` is None when the body was no form."""
        if form is None:
            return _UNSPECIFIED
        if _PARAMETERS & query.keys():
            return _DENIED
        if form.get("grant_type") != "client_credentials":
            return _WRONG_GRANT
        if form.get("client_id") != self.client_id:
            return _UNKNOWN_CLIENT
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.client_secret.encode()):
            return _DENIED
        return self._granted() if self.has_application_user else self._without_user()

    def _granted(self) -> TokenAnswer:
        token = self._live()
        if token is None:
            token = self._token = _Token(secrets.token_urlsafe(64), self._clock() + self.token_seconds)
        left = math.ceil(token.dies_at_seconds - self._clock()) - 1
        kind = {"scope": "useraccount", "token_type": "Bearer"}
        return 200, {"access_token": token.text, **kind, "expires_in": max(0, left)}

    def _without_user(self) -> TokenAnswer:
        said = f"integration user is not configured for OAuth:{self.client_id}"
        return 400, {"error": "unauthorized_client", "error_description": said}

    def accepts(self, authorization: str) -> bool:
        """Say whether an Authorization header holds the live token."""
        token = self._live()
        kind, _, text = authorization.partition(" ")
        return (
            token is not None
            and kind.lower() == "bearer"
            and hmac.compare_digest(text.encode(), token.text.encode())
        )

    def revoke(self) -> None:
        """Kill the token at once."""
        self._token = None

    def _live(self) -> _Token | None:
        token = self._token
        return token if token and token.dies_at_seconds > self._clock() else None
