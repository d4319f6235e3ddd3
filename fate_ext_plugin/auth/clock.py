"""What a caller is told whose clock differs too much from ours."""
from fate_ext_plugin.errors import Unauthenticated


def clocks_differ(signed: float, now: float, most: float) -> Unauthenticated:
    """:param signed: when the request was signed, by the caller's clock; :param now: by ours; both in s since 1970.
    :param most: seconds that are accepted."""
    behind = now - signed
    differs = (f"{behind:.0f} s behind ours, or the request was on its way for so long" if behind > 0
               else f"{-behind:.0f} s ahead of ours")
    return Unauthenticated(f"Your clock is {differs}; {most:.0f} s are accepted. Set the clock that is wrong.", "clock")
