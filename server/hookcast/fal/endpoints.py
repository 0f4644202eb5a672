"""App ids from fal's endpoint ids; pure."""

_NAMESPACES = ("workflows", "comfy")


def app_id(endpoint_id: str) -> str:
    """Return the part of an endpoint id that the URLs of its requests contain: `owner/app`.

    The namespaces `workflows/` and `comfy/` precede it. Raises ValueError when there is no app in the id.
    """
    parts = endpoint_id.strip("/").split("/")
    length = 3 if parts[0] in _NAMESPACES else 2
    if len(parts) < length or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("an endpointId looks like owner/app or owner/app/path")
    return "/".join(parts[:length])
