"""The host names and addresses that a URL in a setting may have."""

import ipaddress
import re
import unicodedata

_NUMBERS = re.compile(r"[0-9.]+")
_ASCII = re.compile(r"[A-Za-z0-9._-]*")


def is_host(name: str) -> bool:
    """Return whether a resolver can look up this host: an address, or a name with labels of at most 63 bytes.

    A name may have an underscore, as those of containers do, and letters of any language, but no form of a letter or
    digit that names are never written with: libraries disagree on these.
    """
    if ":" in name or _NUMBERS.fullmatch(name):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
    try:
        short = 0 < len(name.encode("idna")) <= 253
    except UnicodeError:
        return False
    return short and all(_ASCII.fullmatch(sign) or _is_letter(sign) for sign in name)


def _is_letter(sign: str) -> bool:
    kind = unicodedata.category(sign)
    return kind[0] in "LM" and kind != "Lm" and unicodedata.normalize("NFKC", sign) == sign
