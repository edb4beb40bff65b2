"""Which tokens are good right now: answered from memory, and never from older knowledge than
`revocation_lag`."""

from asgi_token_auth.verification.live import LiveToken
from asgi_token_auth.verification.verified import VerifiedToken
from asgi_token_auth.verification.verifier import Verifier

__all__ = ["LiveToken", "VerifiedToken", "Verifier"]
