"""What the three commands share: options and their bundles, exits and error lines."""
