"""What every model offers, and what is done with every model alike: perplexities, surprisals, reports."""
