"""What the API answers: one module for each group of routes; each route asks one function of `answers`."""
