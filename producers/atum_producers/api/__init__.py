"""The HTTP ways in: our own API and the Postmark-compatible one, in one process (`atum-mailer api`)."""
