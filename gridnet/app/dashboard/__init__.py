"""The console: pages for operators, prosumers and auditors, served by `gridnet serve`."""
