"""From outcomes to artefacts: training, probing, calibration."""
