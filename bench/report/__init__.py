"""What is printed and published of the figures."""
