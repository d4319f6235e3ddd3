"""Who may call us at all: networks and tokens."""
