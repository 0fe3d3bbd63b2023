"""Training of img2pose networks: photos in, checkpoints in the official key layout out."""
