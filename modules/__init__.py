"""The services through which contracts reach the world outside: language models and the web (spec modules/01 to 03)."""
