"""The wire contract as OpenAPI 3.1: what each endpoint takes and gives, in words and in schemas."""

from asgi_token_auth.endpoints.openapi.document import build_document, with_token_url
from asgi_token_auth.endpoints.openapi.merging import Merge
from asgi_token_auth.endpoints.openapi.page import DocumentationPage

__all__ = ["DocumentationPage", "Merge", "build_document", "with_token_url"]
