"""marshmallow schemas: every request, every answer, every setting."""
