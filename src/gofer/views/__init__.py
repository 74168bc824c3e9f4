"""Pictures of runs and managers. A view reads what it is given and changes nothing.

A view may depend on what is below a manager, never on backends; each is imported when it is
first asked for.
"""
