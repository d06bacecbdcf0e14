"""Real applications inside the onion, through both doors."""
