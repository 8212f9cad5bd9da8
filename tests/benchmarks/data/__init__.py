"""What the data plane promises, measured."""
