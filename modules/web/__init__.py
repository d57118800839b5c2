"""The web service: requests and rendered pages for contracts, through one door (spec modules/03)."""
