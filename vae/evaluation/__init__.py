"""What a trained model is worth: bounds on the likelihood, use of the latent space."""
