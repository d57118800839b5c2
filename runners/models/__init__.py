"""Models of runners, made of the weights that their authors release."""
