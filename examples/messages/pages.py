"""The front page: where to begin."""

from starlette.requests import Request
from starlette.responses import HTMLResponse

from examples.messages.mailbox import CSP, STYLE

PAGE = f"""<!doctype html>
<html lang=en>
<title>Messages</title>
<style>{STYLE} pre{{overflow:auto}}</style>
<main>
<h1>Messages</h1>
<p>Sign up:</p>
<pre>curl -X POST http://127.0.0.1:8000/api/users -H 'Content-Type: application/json' \\
  -d '{{"user": {{"email": "ada@example.com", "password": "secret"}}}}'</pre>
<p>Then read <a href="/dev/mailbox">the mail</a>, and confirm with the user id and token in it:</p>
<pre>curl -X POST http://127.0.0.1:8000/api/users/1/confirm -H 'Content-Type: application/json' \\
  -d '{{"confirmation_token": "..."}}'</pre>
<p>The answer is a token for the protected messages:</p>
<pre>curl http://127.0.0.1:8000/api/messages -H "Authorization: Bearer $TOKEN"</pre>
</main>
"""


async def front_page(request: Request) -> HTMLResponse:
    """GET /"""
    return HTMLResponse(PAGE, headers=CSP)
