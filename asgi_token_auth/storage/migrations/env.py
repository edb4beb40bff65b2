"""What Alembic runs: the migrations, on the connection it was given, or as text."""

from alembic import context

target = context.config.attributes["target"]
if context.is_offline_mode():
    context.configure(dialect_name=target.dialect, **target.options)
    context.static_output(target.before)
else:
    context.configure(connection=target.connection, **target.options)
with context.begin_transaction():
    context.run_migrations()
