"""Mails to test with, and what makes them."""
