"""The public face on the way from images to a report: one function for each command.

The parameters are called as the options of the command are. Each function is in a module of its
own, so that an audit loads neither torch nor Lightning.
"""
