"""Reading an uploaded ID file as it streams in: one ID a line, nothing of it kept in memory.

What reaches the disk is normal form: UTF-8 without a byte order mark, LF, no header line. So the source needs no
cases, and an error is known while the caller is still there to be told.
"""
import codecs
from typing import BinaryIO, Callable, Iterator, Optional, Sequence

from fate_ext_plugin.errors import EmptyUpload, InvalidIdFile, UploadTooLarge

MAX_LINE_BYTES = 4096
MAX_NAME_LENGTH = 255
READ_BYTES = 1 << 20
# A line of nothing else is blank. All other characters, white space too, are part of an ID.
BLANKS = " \t"
_BLANK_BYTES = BLANKS.encode("ascii")
# NUL ends strings elsewhere; 0x1f is the delimiter under which the file is read back as one column.
FORBIDDEN = (b"\x00", b"\x1f")


class IdFile:
    """Writes the chunks of an upload to ``target`` in normal form.

    :param target: to write and to read again.
    :param has_header: what requestBody says; None: decide by the first line.
    :param header_names: first lines taken for a header, in any case.
    :param default_name: name of the ID column of the answer, where the file has no header.
    """

    def __init__(
        self, target: BinaryIO, has_header: Optional[bool], header_names: Sequence[str], default_name: str, max_ids: int
    ) -> None:
        self._target = target
        self._has_header = has_header
        self._header_names = {name.lower() for name in header_names}
        self._max_ids = max_ids
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._held = b""  # an unfinished last line, or CR
        self._at_start = True  # nothing was written yet
        self._first = True  # no line that is not blank was
        self.id_name = default_name
        self._any = False
        self._bound = 0.0
        self._bounds = list(BOUNDS)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the document, of any length above zero.

        :raises InvalidIdFile: not UTF-8, a forbidden byte, a line too long, a lone CR.
        :raises UploadTooLarge: more lines with an ID than allowed.
        """
        self._check_text(chunk)
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._held += chunk
            if len(self._held) > MAX_LINE_BYTES + 2:
                raise self._too_long()
            return
        lines, self._held = self._held + chunk[:end], chunk[end:]
        self._write_lines(lines)

    def finish(self) -> None:
        """Write the last line, where it has no line end.

        :raises EmptyUpload: there is no ID at all.
        """
        try:
            self._decoder.decode(b"", True)
        except UnicodeDecodeError:
            raise InvalidIdFile("The ID file ends within a character; it must be UTF-8.") from None
        if self._held:
            self._write_lines(self._held + b"\n")
            self._held = b""
        if not self._any:
            raise EmptyUpload(
                "No ID arrived. Either the ID table of the FATE job is empty, or FATE Flow is older than 1.11.1: "
                "its ApiReader uploads an empty file. Upgrade FATE Flow to 1.11.1 or 1.11.2.")

    def _check_text(self, chunk: bytes) -> None:
        for byte in FORBIDDEN:
            if byte in chunk:
                raise InvalidIdFile(
                    f"The ID file holds the byte {byte[0]:#04x} {self._near()}; it must be UTF-8 text, one ID a line.")
        if not chunk.isascii() or self._decoder.getstate()[0]:
            try:
                self._decoder.decode(chunk)
            except UnicodeDecodeError:
                raise InvalidIdFile(f"The ID file is not UTF-8 {self._near()}. Save it as UTF-8.") from None

    def _write_lines(self, lines: bytes) -> None:
        """``lines`` is whole lines; everything here looks at a chunk as a whole, because files are large."""
        if b"\r" in lines:
            lines = lines.replace(b"\r\n", b"\n")
            if b"\r" in lines:
                raise InvalidIdFile(f"A line holds a carriage return {self._near()}; lines end in LF or CRLF.")
        self._check_lengths(lines)
        if self._at_start:
            self._at_start = False
            lines = lines[len(codecs.BOM_UTF8):] if lines.startswith(codecs.BOM_UTF8) else lines
        if self._first:
            lines = self._without_header(lines)
        self._any = self._any or lines.strip(_BLANK_BYTES + b"\n") != b""
        self._limit(lines)
        if lines.startswith(codecs.BOM_UTF8) and not self._target.tell():
            # An ID begins with it; a reader would take it for the file's own mark.
            self._target.write(b"\n")
        self._target.write(lines)

    def _limit(self, lines: bytes) -> None:
        """Keep an upper bound of the IDs so far, with duplicates, by the cheapest way that stays below the limit."""
        bound = self._bounds[0]
        self._bound += bound(lines)
        while self._bound > self._max_ids:
            del self._bounds[0]
            if not self._bounds:
                raise UploadTooLarge(f"More than {self._max_ids} IDs, which is max_ids. Split the ID table.")
            bound = self._bounds[0]
            self._bound = sum(map(bound, self._written())) + bound(lines)

    def _written(self) -> Iterator[bytes]:
        """What is written so far, in blocks of whole lines; the next write goes to the end again."""
        self._target.seek(0)
        return map(b"".join, iter(lambda: self._target.readlines(READ_BYTES), []))

    def _without_header(self, lines: bytes) -> bytes:
        """Take away the header line, where there is one, and blank lines before it or before the first ID."""
        stripped = lines.lstrip(_BLANK_BYTES + b"\n")
        if not stripped:
            return b""
        self._first = False
        first, _, rest = stripped.partition(b"\n")
        name = first.decode("utf-8").strip()
        if self._has_header is False or (self._has_header is None and name.lower() not in self._header_names):
            return lines
        if not name:
            raise InvalidIdFile("The header line holds nothing but white space.")
        if "," in name or '"' in name:
            raise InvalidIdFile(f"The header {name[:80]!r} holds a comma or a quote; the ID file has one column.")
        if len(name) > MAX_NAME_LENGTH:
            raise InvalidIdFile(f"The header {name[:80]!r}... is longer than {MAX_NAME_LENGTH} characters.")
        self.id_name = name
        return rest

    def _check_lengths(self, lines: bytes) -> None:
        position, end = 0, len(lines)
        while position < end:
            # Jump from line end to line end, as far as one line may reach.
            newline = lines.rfind(b"\n", position, position + MAX_LINE_BYTES + 1)
            if newline < 0:
                raise self._too_long()
            position = newline + 1

    def _too_long(self) -> InvalidIdFile:
        return InvalidIdFile(f"A line has over {MAX_LINE_BYTES} bytes {self._near()}; the file has one ID a line.")

    def _near(self) -> str:
        line = sum(block.count(b"\n") for block in self._written())
        return f"after line {line}" if line else "near its start"


def _count_ids(lines: bytes) -> int:
    return sum(1 for line in lines.splitlines() if line.strip(_BLANK_BYTES))


# How many IDs whole lines hold at most, each dearer and closer than the one before: an ID and its line end take two
# bytes, blank lines are none.
BOUNDS: Sequence[Callable[[bytes], float]] = (
    lambda lines: len(lines) / 2, lambda lines: lines.count(b"\n"), _count_ids)
