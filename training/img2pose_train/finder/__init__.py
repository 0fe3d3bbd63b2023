"""The finder: a light single-stage network that says where faces are and how they are turned in the plane."""
