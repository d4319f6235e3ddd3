"""The child's side of a job: it joins, and knows no database and no server."""
