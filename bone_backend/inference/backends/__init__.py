"""What computes a network for a prediction: torch, or OpenVINO where it is installed."""
