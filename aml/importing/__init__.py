"""The YAML files of the `az ml` commands, turned into the bodies that its clients send."""
