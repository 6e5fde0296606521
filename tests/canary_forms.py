"""The codings in which a text might leak."""

import base64


def forms_of(text: str) -> set[bytes]:
    """Return a text as UTF-8, UTF-16, hex, and base64 at each of its three phases."""
    plain = text.encode()
    codings = {plain, text.encode("utf-16-le"), text.encode("utf-16-be")}
    phases = {base64.b64encode(bytes(at) + plain)[4 if at else 0 : -4] for at in range(3)}
    forms = codings | phases | {plain.hex().encode(), plain.hex().upper().encode()}
    return {form for form in forms if len(form) >= min(8, len(plain))}
