"""Methods of the literature, one config each."""
