"""Everything that questions a served model: samples, client, scores, report."""
