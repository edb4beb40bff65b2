"""The settings as keywords of another constructor: written once, known to type checkers and
editors, and shown by `help`."""

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast

P = ParamSpec("P")


def keywords_of(
    constructor: Callable[P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Gives an `__init__` that takes any keywords the signature of `constructor`."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        keywords = inspect.signature(constructor).parameters.values()
        init.__signature__ = inspect.Signature([itself, *keywords])  # type: ignore[attr-defined]
        return cast(Callable[Concatenate[Any, P], None], init)

    return decorate
