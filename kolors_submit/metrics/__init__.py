"""What is measured on finished pictures."""
