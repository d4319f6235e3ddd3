"""``fate-ext enable`` and ``disable``: our lines in FATE Flow's own files."""
