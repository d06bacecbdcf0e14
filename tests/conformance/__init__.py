"""Raw requests as files."""
