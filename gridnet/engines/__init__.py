"""Where independent pieces of work run: in this process, in processes of this machine, or as tasks of a Ray cluster."""
