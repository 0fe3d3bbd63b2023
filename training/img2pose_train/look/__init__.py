"""The close look: a small network that sees the upright crop of one face and answers with points, pose, presence and spread."""
