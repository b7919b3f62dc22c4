"""The human rating web application: people compare two unlabelled answers, as in Figure 7 of the paper."""
