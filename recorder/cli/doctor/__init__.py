"""The checks of `recorder doctor`."""
