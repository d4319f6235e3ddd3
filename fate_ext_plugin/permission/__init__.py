"""May this party run these components on these datasets here (contract section 7)? Knows no Flask and no FATE Flow."""
