"""Branches on whole images that a recipe can name, for any detector with maps: `branches: [{kind: occlusion}]`."""
