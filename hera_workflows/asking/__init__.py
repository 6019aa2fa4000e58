"""A person's own input as a request, and the answer in their words."""
