"""`qmd potential export`: packages in the formats of other programs."""
