"""The report of one evaluation: tables, plots, a section of the run's report. It depends on results only."""
