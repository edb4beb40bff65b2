"""Limits on attempts: the one door to `limits`, and through it to Redis."""

from asgi_token_auth.throttling.rules import Limits
from asgi_token_auth.throttling.throttle import Throttle

__all__ = ["Limits", "Throttle"]
