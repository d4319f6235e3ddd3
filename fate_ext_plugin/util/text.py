"""Text of a stranger, made fit to be shown."""


def escape_control_characters(text: str) -> str:
    """It must not steer a terminal, nor break a line of a log."""
    return text if text.isprintable() else "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text)
