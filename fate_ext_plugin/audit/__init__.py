"""The audit log: every decision, one line each, and what is read of it."""
