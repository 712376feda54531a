"""`--experiment=latents`: what a trained model's latent space is good for."""
