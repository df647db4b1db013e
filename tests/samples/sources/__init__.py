"""What the sample mails say, and how they are put together."""
