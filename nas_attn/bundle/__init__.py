"""A winner as one folder: the YAML, ONNX files, the weights, a card that says what it is, and a check of all of it.

best.yaml           the model, as `export` writes it
base.yaml           its base without attention, for a comparison
best.onnx           for one image size; best-dynamic.onnx for any
best.pt             the trained weights, where they were given
modules/NAME.py     the source of modules of the user's own
card.json           architecture, cost, scores, data, recipe, versions, licences, sources, sha256 of each file

`write.write_bundle` makes one, `verify.verify_bundle` checks one, `scores.scores` says what a study's records know.
"""
