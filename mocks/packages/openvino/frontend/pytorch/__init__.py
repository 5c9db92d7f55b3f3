"""The front end of the stand-in for torch."""
