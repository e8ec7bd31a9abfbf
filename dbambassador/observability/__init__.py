"""What people and machines see of a running ambassador: folds over events, and the two HTTP ports."""
