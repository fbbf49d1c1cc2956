"""The control plane, `Microsoft.MachineLearningServices`, as the resource manager offers it."""
