"""What people do with the second project: scenarios written without knowledge of the detectors."""
