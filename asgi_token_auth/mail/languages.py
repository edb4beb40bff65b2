"""Accept-Language (RFC 9110, section 12.5.4)."""

LONGEST_HEADER = 500


def accepted_languages(header: str) -> list[str]:
    """The language tags in a header, the most wanted first; what can't be read is left out."""
    weighed = []
    for position, part in enumerate(header[:LONGEST_HEADER].split(",")):
        tag, _, weight = part.partition(";")
        quality = _quality(weight)
        if tag.strip() and quality > 0:
            weighed.append((-quality, position, tag.strip()))
    return [tag for _, _, tag in sorted(weighed)]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
