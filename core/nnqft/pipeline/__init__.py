"""What is asked for, done: one screen for each way."""
