"""Which scan belongs to which mask: by their names, or by a table."""
