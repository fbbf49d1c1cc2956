"""Everything that runs Relearn on one machine: set-up, Azurite, the trigger loop, the demo, the benchmark."""
