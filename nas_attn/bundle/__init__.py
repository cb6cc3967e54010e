"""A winner as one folder: the YAML, ONNX files, the weights, a card that says what it is, and a check of all of it.

best.yaml           the model, as `export` writes it
base.yaml           its base without attention, for a comparison
best.onnx           for one image size; best-dynamic.onnx for any
best.pt             the trained weights, if they were given
modules/NAME.py     the source of the user's own modules
card.json           architecture, cost, scores, data, recipe, versions, licences, sources, sha256 of each file

`winner.Winner` is what leaves, `write.write_bundle` makes a bundle of it, `verify.verify_bundle` checks one.
`study_base.base_of` is the base model of a study, `named_model.named_model` one that a user names without a study.
"""
