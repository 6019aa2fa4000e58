"""slipway: the shared words — values, rules and errors that every floor speaks."""
