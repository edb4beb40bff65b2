"""The package's metadata; pyproject.toml holds only build-system and tool settings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "asgi_token_auth/__init__.py").read_text())
assert VERSION is not None

POSTGRESQL = ["asyncpg>=0.29"]
MYSQL = ["asyncmy>=0.2.10"]
SMTP = ["aiosmtplib>=3"]
REDIS = ["redis>=5.2,<8"]  # what limits can work with
BCRYPT = ["bcrypt>=4.0.1,<5"]  # passlib 1.7.4 fails with bcrypt 5
OTEL = ["opentelemetry-api>=1.30,<2"]
MIGRATIONS = ["alembic>=1.14,<2", "greenlet>=3.1.1"]  # SQLAlchemy's async engine needs greenlet
DEMO = ["uvicorn>=0.30", "websockets>=15"]
# What the tests and the examples run in, beside Starlette and uvicorn.
FRAMEWORKS = [
    "fastapi>=0.115.2",
    "litestar>=2.15",
    "quart>=0.20",
    "django>=5",
    "hypercorn>=0.17",
    "granian>=2.8",
]
# The peers and what they need; wrk is the system's.
BENCHMARKS = [
    *POSTGRESQL,
    *MYSQL,
    *DEMO,
    "matplotlib>=3.9",
    "fastapi>=0.115",
    "fastapi-users[sqlalchemy]>=14",
    "PyJWT>=2.9",
    "joserfc>=1",
    "litestar[jwt]>=2.12",
    "piccolo[postgres,sqlite]>=1.20",
    "piccolo_api>=1.5",
    "django>=5",
    "djangorestframework>=3.15",
    "django-rest-knox>=5",
    "psycopg[binary]>=3.2",
]
DOCS = ["sphinx>=9", "furo>=2025.9.25", "myst-parser>=5", "sphinx-argparse>=0.6"]
DEV = [
    *DOCS,
    "mypy>=1.13",
    "ruff>=0.8",
    "uv>=0.5",
    "types-passlib",
    "types-python-jose",
    "types-zxcvbn",
    "pillow>=10",  # tests.browser.screenshots
]
TEST = [
    *POSTGRESQL,
    *MYSQL,
    *BCRYPT,
    *SMTP,
    *REDIS,
    *OTEL,
    *MIGRATIONS,
    *DEMO,
    *FRAMEWORKS,
    "opentelemetry-sdk>=1.30,<2",
    "pytest>=8.3",
    "pytest-asyncio>=0.24",
    "pytest-cov>=6",
    "build>=1.2",
    "setuptools>=70.1",
    "hypothesis>=6.100",
    "schemathesis>=4,<5",
    "fastapi-swagger>=0.4.64",  # for its Swagger UI
    "openapi-spec-validator>=0.7",
    "jsonschema>=4.18",
    "aiosmtpd>=1.4.6",
    "trustme>=1.2",
    "PyJWT>=2.9",
    # FastAPI's tutorial applications, and the tests that it has for them.
    "sqlmodel>=0.0.31",
    "inline-snapshot>=0.21.1",
    "dirty-equals>=0.9",
    "sybil>=9,<11",
    "markdown-it-py>=3",
    "playwright>=1.49",
    "axe-playwright-python>=0.1.4",
]

setup(
    name="asgi_token_auth",
    version=VERSION[1],
    description="Token authentication for any ASGI app: revocable Bearer tokens, accounts, mail.",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["asgi_token_auth", "asgi_token_auth.*"]),
    package_data={
        "asgi_token_auth": ["py.typed"],
        "asgi_token_auth.mail": ["templates/*"],
        "asgi_token_auth.endpoints.openapi": ["templates/*"],
    },
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=[
        # Below 1.3.1 there are known faults in forms, StaticFiles, HTTPEndpoint and request.url,
        # none of which is used here; an app on an older FastAPI must be able to install this.
        "starlette>=0.40,<2",
        "databases>=0.9,<0.10",
        "sqlalchemy>=2.0.14,<2.2",
        "aiosqlite>=0.20",
        "passlib>=1.7.4,<2",
        "argon2-cffi>=21.3,<26",
        "python-jose[cryptography]>=3.5,<4",
        "cryptography>=42",
        "httpx>=0.27,<1",
        "email-validator>=2.1.1",
        "idna>=3.7",
        "jinja2>=3.1.5",
        "limits>=4.2",
        "zxcvbn>=4.4.28,<5",
    ],
    extras_require={
        "postgresql": POSTGRESQL,
        "mysql": MYSQL,
        "smtp": SMTP,
        "redis": REDIS,
        "bcrypt": BCRYPT,
        "otel": OTEL,
        "migrations": MIGRATIONS,
        "demo": DEMO,
        "frameworks": FRAMEWORKS,
        "benchmarks": BENCHMARKS,
        "docs": DOCS,
        "test": TEST,
        "dev": [*TEST, *DEV],
    },
    entry_points={"console_scripts": ["asgi-token-auth = asgi_token_auth.cli:main"]},
    classifiers=[
        "Framework :: AsyncIO",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
)
