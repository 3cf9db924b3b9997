"""The report of one evaluation: tables, pictures, a section of the run's page. It knows results alone."""
