"""The public face on the way from images to a report: one function for each command.

Parameters have the names of the command's options. Each function is in a separate module, so that
an audit loads neither torch nor Lightning.
"""
