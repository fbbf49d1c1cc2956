"""Azure Machine Learning Studio (classic): BES, Classic and New web services, RRS."""
