"""Online endpoints: deployments as processes with a model, and the gateway that leads calls to them."""
