"""Programs that send through Postmark clients as they are published, nothing in them changed, and how to run them."""
