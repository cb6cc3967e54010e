"""Bundles: a winner as one folder, with everything that is needed to train, run, cite and check it.

best.yaml           the model, as `export` writes it
base.yaml           its base without attention, for comparison
best.onnx           the model for one image size; best-dynamic.onnx is for any size
best.pt             the trained weights, if they were given
modules/NAME.py     the source code of the user's own modules
card.json           architecture, cost, scores, data, recipe, versions, licences, sources, sha256 of each file

`winner.Winner` is the model to export, `write.write_bundle` writes it as a bundle, `verify.verify_bundle` checks a
bundle. `study_base.base_of` returns the base model of a study, `named_model.named_model` a base model without a study.
"""
