"""What is wrong with a data set, before anything is trained on it: one file a check, each says which rows and what to do."""
