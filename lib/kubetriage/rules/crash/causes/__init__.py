"""One module per cause code; what two causes share stands beside this folder."""
