"""Settings: every name, type, default and check in one place.

Nothing here is read at import, nothing is global: one frozen `Settings` hangs off one
`TokenAuth`. All faults are reported at once, so that a deployment is mended in one go.
"""

from asgi_token_auth.settings.keywords import keywords_of
from asgi_token_auth.settings.settings import Settings

__all__ = ["Settings", "keywords_of"]
