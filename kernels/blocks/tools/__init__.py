"""What several families share in steps."""
