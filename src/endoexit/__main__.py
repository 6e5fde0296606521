"""`python -m endoexit`: the command line where its script is not on the search path."""

from endoexit.cli.main import main

if __name__ == "__main__":  # processes that are started for further work import this file too
    main()
