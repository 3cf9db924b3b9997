"""The report of one evaluation: tables, pictures, a section of the run's page. Knows results, not where they come from."""
