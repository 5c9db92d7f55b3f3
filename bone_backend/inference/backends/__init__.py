"""What computes a network for a prediction: torch, OpenVINO where it is installed, Apple's GPU."""
