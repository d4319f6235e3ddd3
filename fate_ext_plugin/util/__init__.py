"""What several rooms share, and what knows none of them."""
