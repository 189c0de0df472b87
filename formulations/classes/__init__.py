"""Network classes: the training problem, its reduction to the program, and the rebuilt network."""
