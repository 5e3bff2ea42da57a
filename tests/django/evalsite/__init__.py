"""The Django project of the evaluation: settings from the environment, data, the URLs of the scenarios."""
