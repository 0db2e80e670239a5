"""What threads wait for: one small module per primitive of the class library or the runtime."""
