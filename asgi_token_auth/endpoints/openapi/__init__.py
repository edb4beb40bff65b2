"""The wire contract as OpenAPI 3.1: what each endpoint takes and gives, in words and in schemas."""

from asgi_token_auth.endpoints.openapi.document import build_document

__all__ = ["build_document"]
