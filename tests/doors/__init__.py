"""The two doors: our server calling Python, and our layers as middleware under any other server."""
