"""What `start.py` and `first_push.py` compare: pytest plugins with the same two fixtures.

`login` is a registry that answered one, `nginx` the reference of an image that was pushed to it.
Those of the peers are written as their documentation, or a careful user, would.
"""
