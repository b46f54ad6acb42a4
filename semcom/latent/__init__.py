"""Profiles whose generator is a published latent-diffusion model; imported only where one is used."""
