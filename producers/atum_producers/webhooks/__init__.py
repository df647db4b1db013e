"""The webhook endpoint: takes what the provider tells, and stores it before it says so."""
