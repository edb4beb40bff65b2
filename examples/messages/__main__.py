"""python -m examples.messages"""

import argparse
import os
import secrets
from pathlib import Path

import uvicorn

from examples.messages.app import build_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.messages")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--database-url", default="sqlite:///messages.db")
    parser.add_argument("--mail-dir", type=Path, default=Path("mail"))
    parser.add_argument("--base-url", help="where browsers reach it; default: http://HOST:PORT")
    options = parser.parse_args()
    base_url = options.base_url or default_base_url(options.host, options.port)
    key = secret_key(options.mail_dir)
    app = build_app(options.database_url, options.mail_dir, key, base_url.rstrip("/"))
    uvicorn.run(app, host=options.host, port=options.port)


def default_base_url(host: str, port: int) -> str:
    """Where a browser on this machine finds the demo."""
    name = "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{name}:{port}"


def secret_key(directory: Path) -> str:
    """SECRET_KEY, or one that is made once and kept, so that a restart logs nobody out."""
    if "SECRET_KEY" in os.environ:
        return os.environ["SECRET_KEY"]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / ".secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


if __name__ == "__main__":
    main()
