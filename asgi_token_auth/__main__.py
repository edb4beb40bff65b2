"""python -m asgi_token_auth: the command line, where the console script is not on the path."""

import sys

from asgi_token_auth.cli import main

if __name__ == "__main__":
    sys.exit(main())
