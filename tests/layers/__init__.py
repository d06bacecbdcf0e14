"""What each layer promises its users, through both doors."""
