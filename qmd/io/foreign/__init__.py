"""Files of other programs: what they hold, and what they declare that is not believed."""
