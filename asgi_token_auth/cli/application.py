"""Finding the application's own TokenAuth, as servers find an application: MODULE:NAME."""

import importlib
import sys
from functools import reduce

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.exceptions import SettingsError


def load(path: str) -> TokenAuth:
    """The TokenAuth of that name, from the current directory or what is installed.

    Raises:
        SettingsError: there is none.
    """
    module, colon, name = path.partition(":")
    if not colon:
        raise SettingsError(f"--app: {path} can't be loaded: it must be MODULE:NAME, as app:auth")
    sys.path.insert(0, "")
    try:
        found = reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"--app: {path} can't be loaded: {error}") from error
    if not isinstance(found, TokenAuth):
        raise SettingsError(f"--app: {path} is no TokenAuth")
    return found
