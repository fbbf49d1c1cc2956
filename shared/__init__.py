"""Relearn: retrain, judge and promote a deployed model when new training data is dropped into blob storage."""
