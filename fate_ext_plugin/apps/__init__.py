"""The HTTP door: FATE Flow's style of ``*_app.py`` with a ``manager``. A view loads, calls one function, answers."""
