"""What operators do with mails: find, explain, stop, hurry, send again, export."""
