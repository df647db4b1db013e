"""What the commands about webhooks do: register them at the provider, and check the whole way back."""
