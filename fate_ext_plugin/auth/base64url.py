"""base64url without padding (RFC 4648): bytes in a header, in one way only."""
import base64


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """:raises ValueError: it is none, or the same bytes are written in another way."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not in its one form")
    return data
