"""What several families of the reference share."""
