"""Is everything in an installed cluster that slipway needs, and what is to be done where it is not?"""
