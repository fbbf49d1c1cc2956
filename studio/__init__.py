"""The local Studio: speaks the protocols of Azure ML Studio (classic), trains real models and serves them."""
