"""Episodes: scenario and response in; outcome, view and verdict out. And the judges that read.

To make an episode takes no torch; a judge that reads imports it when it is given its model.
"""
