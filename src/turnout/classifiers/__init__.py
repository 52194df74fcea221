"""Learned estimators: what a request is, and which model will answer it well."""
