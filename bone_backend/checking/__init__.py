"""What is wrong with pairs of scan and mask, found before any work."""
