"""From labelled rows to classifier artefacts; needs the ``train`` extra."""
