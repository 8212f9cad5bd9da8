"""What training promises, measured beside other training loops on the same machine, shapes, batch and data."""
