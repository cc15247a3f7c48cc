"""The commands, one module each; `watching` has four that are alike."""
