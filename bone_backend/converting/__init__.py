"""From one format of volumes to another."""
