"""``fate-ext check``: whether a site is set up rightly, part by part."""
