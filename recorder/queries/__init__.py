"""Questions and answers, for the API and the command line: checked parameters in, JSON out."""
