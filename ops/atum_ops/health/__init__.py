"""Whether all is well: one small module per thing that is looked at, each with what mends it."""
