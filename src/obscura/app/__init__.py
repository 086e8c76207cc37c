"""Floor 7: joins the parts. The only place that knows them all."""
