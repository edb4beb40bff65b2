"""The deployment in a directory of its own: the same files, with other paths and ports."""

import dataclasses
import os
import secrets
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SITE = "nginx/messages.conf"
MAIN_CONFIGURATION = """\
# What Debian's /etc/nginx/nginx.conf is, for a user who may be anyone.
{user}
worker_processes 2;
pid {directory}/run/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 1024;
}}
http {{
    access_log off;
    client_body_temp_path {directory}/run/nginx-body;
    proxy_temp_path {directory}/run/nginx-proxy;
    fastcgi_temp_path {directory}/run/nginx-fastcgi;
    uwsgi_temp_path {directory}/run/nginx-uwsgi;
    scgi_temp_path {directory}/run/nginx-scgi;
    include {directory}/nginx/messages.conf;
}}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Installation:
    """Where it is, and what it uses.

    Args:
        directory: for all files; made if it is not there. Its path must be short, for sockets.
        https_port, http_port: of nginx, on 127.0.0.1.
        secrets: the variables of secrets.env.
    """

    directory: Path
    https_port: int
    http_port: int
    secrets: dict[str, str]

    def install(self) -> None:
        """Writes all files."""
        for name in ("run", "log", "etc/tls", "etc/nginx", "nginx", "systemd"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for source in [HERE / "messages.env", *(HERE / "systemd").iterdir()]:
            self._write_here(source)
        self._write_site()
        self._write_secrets()
        if not self.certificate.exists():
            self._make_certificate()

    @property
    def certificate(self) -> Path:
        return self.directory / "etc/tls/fullchain.pem"

    def unit_file(self, name: str) -> Path:
        return self.directory / "systemd" / name

    def _write_here(self, source: Path) -> None:
        inner = "systemd" if source.parent.name == "systemd" else "etc"
        (self.directory / inner / source.name).write_text(self._here(source.read_text()))

    def _write_site(self) -> None:
        text = self._here((HERE / SITE).read_text())
        for there, here in (
            ("listen [::]:", "# listen [::]:"),  # not every machine has IPv6
            ("listen 443", f"listen 127.0.0.1:{self.https_port}"),
            ("listen 80", f"listen 127.0.0.1:{self.http_port}"),
            ("https://messages.example.com", f"https://localhost:{self.https_port}"),
            ("messages.example.com", "localhost"),
        ):
            text = _replaced(text, there, here)
        (self.directory / SITE).write_text(text)
        # Otherwise root's nginx becomes nobody, who can read nothing here.
        user = "user root;" if os.geteuid() == 0 else ""
        main = MAIN_CONFIGURATION.format(directory=self.directory, user=user)
        (self.directory / "nginx/nginx.conf").write_text(main)

    def _here(self, text: str) -> str:
        """A file's text, with this installation's paths."""
        for there, here in (
            ("/opt/messages/.venv/bin", Path(sys.executable).parent),
            ("/opt/messages", HERE),
            ("/etc/messages", self.directory / "etc"),
            ("/run/messages", self.directory / "run"),
            ("/var/log/nginx", self.directory / "log"),
        ):
            text = text.replace(there, str(here))
        return text

    def _write_secrets(self) -> None:
        """For their owner alone. The key is made once, so that a restart logs nobody out."""
        path = self.directory / "etc/secrets.env"
        key = self.directory / "etc/secret_key"
        if not key.exists():
            _write_private(key, secrets.token_urlsafe(48))
        values = {"TOKEN_AUTH_SECRET_KEY": key.read_text(), **self.secrets}
        _write_private(path, "".join(f"{name}='{value}'\n" for name, value in values.items()))

    def _make_certificate(self) -> None:
        """One that no browser trusts, for localhost."""
        key = self.certificate.with_name("privkey.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key)]
        subprocess.run(  # noqa: S603
            [*command, "-out", str(self.certificate)], check=True, capture_output=True
        )


def _replaced(text: str, there: str, here: str) -> str:
    if there not in text:
        raise ValueError(f"{SITE} has no {there!r}")
    return text.replace(there, here)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
