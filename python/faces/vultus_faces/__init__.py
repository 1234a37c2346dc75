"""The networks that `vultus.Faces` runs: call that."""
