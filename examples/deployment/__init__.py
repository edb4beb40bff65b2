"""Several workers with PostgreSQL and Redis behind nginx: see docs/deployment.md."""
