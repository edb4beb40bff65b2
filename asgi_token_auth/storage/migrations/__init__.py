"""Migrations of the library's own tables, with the extra `migrations` (Alembic).

They have a version table of their own, `asgi_token_auth_version`, and disturb no other history in
the same database. Each only adds, so that processes of the version before go on beside it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy import Table

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.storage.database import Database

if TYPE_CHECKING:
    from asgi_token_auth.storage.migrations.migration import Migration


def migration(database: Database, users: Table, *, with_users: bool) -> "Migration":
    """What brings the tables to the present schema.

    Args:
        users: the table that the others refer to.
        with_users: whether it is the library's to make.

    Raises:
        SettingsError: the extra `migrations` is not installed.
    """
    try:
        import_module("greenlet")  # SQLAlchemy's async engine misses it only when it runs
        from asgi_token_auth.storage.migrations.migration import Migration
    except ImportError as error:
        raise SettingsError("migrations need: pip install 'asgi_token_auth[migrations]'") from error
    return Migration(database, users, with_users=with_users)
