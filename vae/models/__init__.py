"""Models: encoder, latent space and decoder assembled; `base` holds their contract."""
